#!/bin/sh
# Every classic program is right, and each of its mutants shows the kind of error that its comment
# names.  The search by states says the same of both, but for what is no error under sequential
# consistency and for races.  usage: classics_test.sh LK [PROGRAM.c...]

# The compiled program once more, by states; "" or what is wrong.
by_states() {
    again=$(timeout 60 "$1" --states --json --quiet --time 30 2>&1)
    rc=$?
    case $2,$rc,$json in
    0,0,*) ;;
    0,*) echo "by states: result $rc, $again" ;;
    *,1,*'"sc": true'*) ;;
    *'"kind": "race"'*) ;;
    *'"sc": true'*) echo "by states: result $rc, $again" ;;
    *,0,*) ;;
    *) echo "by states: result $rc, $again" ;;
    esac
}

# One program in one form: "ok" or "FAIL ..." on standard output.
one() {
    name=$(basename "$2" .c) mutant=$3 kinds=$4
    program=$(mktemp)
    json=$(timeout 60 "$1" check --json --quiet --time 30 --save "$program" "$2" \
           -- -DMUTANT="$mutant" 2>&1)
    code=$?
    wrong=$(by_states "$program" "$mutant")
    rm -f "$program"
    [ -z "$wrong" ] || { echo "FAIL $name mutant $mutant $wrong"; return; }
    found=$(printf %s "$json" | grep -o '"kind": "[a-z-]*"' | cut -d'"' -f4 | sort -u | tr '\n' ' ')
    if [ "$mutant" = 0 ]; then
        [ $code -eq 0 ] && echo "ok $name" || echo "FAIL $name: result $code, $found $json"
        return
    fi
    [ $code -eq 1 ] && for kind in $found; do
        case ",$kinds," in *",$kind,"*) echo "ok $name mutant $mutant: $kind"; return ;; esac
    done
    echo "FAIL $name mutant $mutant: result $code, found '$found', expected $kinds;" "$json"
}

if [ "$1" = --one ]; then
    shift
    one "$@"
    exit
fi
lk=$1
shift
here=$(dirname "$0")/classics
[ $# -gt 0 ] || set -- "$here"/*.c
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

for file; do
    echo "$file 0 none"
    sed -n 's/^ \* Mutant \([0-9]*\) (\([a-z,-]*\)):.*/\1 \2/p' "$file" |
    while read -r mutant kinds; do
        echo "$file $mutant $kinds"
    done
done > "$work/list"
# Two at a time: most of it is compiling.
xargs -P 2 -L 1 sh "$0" --one "$lk" < "$work/list" > "$work/out"
grep FAIL "$work/out"
passed=$(grep -c ^ok "$work/out")
failed=$(grep -c ^FAIL "$work/out")
expected=$(wc -l < "$work/list")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq "$expected" ]
