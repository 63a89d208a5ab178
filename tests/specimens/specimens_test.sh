#!/bin/sh
# Every failure of FAILURES.md whose code is here: the broken form shows the error that its comment
# expects, in the seconds that it says, and the mended one passes every execution.
#
# usage: specimens_test.sh LK [FILE.c...]
# A specimen's comment has a line for each form, with the options of lk check and -D flags:
#     Broken: OPTIONS finds KIND [within SECONDS]
#     Mended: OPTIONS
lk=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- "$here"/*.c
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

value() { printf %s "$json" | sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p"; }

# explore FILE OPTIONS: leaves the answer in $json, the exit code in $code.
explore() {
    file=$1 options='' flags=''
    for word in $2; do
        case $word in -D*) flags="$flags $word" ;; *) options="$options $word" ;; esac
    done
    # $options and $flags are split into words on purpose.
    json=$(timeout 200 "$lk" check --json --quiet --time 100 $options "$file" -- -D_GNU_SOURCE $flags \
           2>&1)
    code=$?
}

# judge FORM EXPECTED LIMIT
judge() {
    name=$(basename "$file" .c)
    slow=$(awk "BEGIN { print ($(value seconds | grep . || echo 0) > ${3:-100}) }")
    case $2,$code,$slow,$json in
    none,0,0,* | [a-z]*,1,0,*"\"kind\": \"$2\""*)
        passed=$((passed + 1))
        echo "ok $name $1: $2, $(value complete) executions in $(value seconds) s" ;;
    *)
        failed=$((failed + 1))
        echo "FAIL $name $1: expected $2${3:+ within $3 s}, result $code: $json" ;;
    esac
}

for file; do
    sed -n 's/^ \* \(Broken\|Mended\): \(.*\)/\1 \2/p' "$file" | sed 's, \*/$,,' > "$work/forms"
    grep -q ^Broken "$work/forms" && grep -q ^Mended "$work/forms" ||
        { failed=$((failed + 1)) && echo "FAIL $file: not both a broken and a mended form"; }
    while read -r form rest <&3; do
        case $form in
        Broken)
            limit=''
            case $rest in *" within "*) limit=${rest##* within } ;; esac
            expect=${rest#* finds }
            explore "$file" "-DBROKEN=1 ${rest% finds *}"
            judge "broken" "${expect%% *}" "$limit" ;;
        Mended)
            explore "$file" "-DBROKEN=0 $rest"
            judge "mended" none ;;
        esac
    done 3< "$work/forms"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
