#!/bin/sh
# The shipped sources under the checker: every run explores to the end without an error, and every
# mutant of the sources that MODEL.mutants lists ("file: sed command") is found by one of the runs.
# usage: model_test.sh LK [MODEL.c...]
lk=$1
shift
here=$(dirname "$0")
root=$(cd "$here/../.." && pwd)
[ $# -gt 0 ] || set -- "$here"/*_model.c
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

ok() { passed=$((passed + 1)); echo "ok $*"; }
fail() { failed=$((failed + 1)); echo "FAIL $*"; }

# explore MODEL RUN SOURCE...: leaves the answer in $json, the exit code in $code.
explore() {
    model=$1 options='' flags=''
    for word in $2; do
        case $word in -D*) flags="$flags $word" ;; *) options="$options $word" ;; esac
    done
    shift 2
    # $options and $flags are split into words on purpose.
    json=$(timeout 300 "$lk" check --json --quiet --time 200 $options "$model" "$@" -- \
           $flags \
           -I"$root/src" -I"$root/include" -I"$root/tests/model" -DLK_BUILD_MODEL=1 \
           -D__builtin_ia32_pause=lk_check_relax -include latchkey/check.h 2>&1)
    code=$?
}

value() { printf %s "$json" | sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p"; }

for model; do
    name=$(basename "$model" .c)
    sources=$(sed -n 's/^ \* Sources: //p' "$model")
    sed -n 's/^ \* Run: *//p' "$model" > "$work/runs"
    cat "${model%.c}.mutants" > "$work/mutants"
    while read -r run; do
        set --
        for s in $sources; do set -- "$@" "$root/$s"; done
        explore "$model" "$run" "$@"
        if [ $code -eq 0 ]; then
            ok "$name $run: $(value complete) executions, $(value blocked) blocked," \
               "$(value seconds) s"
        else
            fail "$name $run: result $code, $json"
        fi
    done < "$work/runs"
    while IFS= read -r mutant; do
        file=${mutant%%:*} change=${mutant#*: } killed=''
        copy=$work/$(basename "$file")
        sed "$change" "$root/$file" > "$copy"
        if cmp -s "$copy" "$root/$file"; then
            fail "$name mutant '$change': changes nothing"
            continue
        fi
        set --
        for s in $sources; do
            if [ "$s" = "$file" ]; then set -- "$@" "$copy"; else set -- "$@" "$root/$s"; fi
        done
        while read -r run; do
            explore "$model" "$run" "$@"
            kind=$(printf %s "$json" | grep -o '"kind": "[a-z-]*"' | head -1)
            [ $code -eq 1 ] && killed="$run: $kind"
            [ -z "$killed" ] || break
        done < "$work/runs"
        if [ -n "$killed" ]; then ok "$name kills '$change' with $killed"; else
            fail "$name mutant survives: $change; last answer $json"
        fi
    done < "$work/mutants"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
