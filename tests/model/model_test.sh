#!/bin/sh
# The shipped sources under the checker: every run that a model's comment asks for explores to the
# end without an error.
#
# usage: model_test.sh [--run OPTIONS] [--find] [--root DIR] LK MODEL.c...
#     --run OPTIONS  this run, not those of the comment
#     --find         for mutants: the sources hold an error; stop at the run that finds it.
#                    Also the lines "Find: OPTIONS" of the comment, which need not end.
#                    Exit 0 found, 1 not found, 2 the sources do not compile
#     --root DIR     the tree whose src and include are compiled (default: this one)
# $MODEL_OBJECTS, if set, is a directory where compiled sources stay for the next call.
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
find=no only=''
while :; do
    case $1 in
    --run) only=$2 && shift ;;
    --find) find=yes ;;
    --root) root=$2 && shift ;;
    *) break ;;
    esac
    shift
done
lk=$1
shift
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0

# Objects depend on the headers: a directory for each state of them.
headers=$(cd "$root" && find src include -name '*.h' -exec cat {} + | cat - "$here"/*.h | sha256sum)
MODEL_OBJECTS=${MODEL_OBJECTS:-$work}/$(echo "$headers" | cut -c1-16)
export MODEL_OBJECTS
mkdir -p "$MODEL_OBJECTS" || exit 2

# Words for what belongs together: @life, what of src/life attaches nobody (rbarrier, rcond and
# rseqlock do); @cache, a cache of one
# shard and what it stands on; @segment, making and opening a cache's segment.
life() { ls src/life/*.c | grep -v -e attach.c -e _public.c -e 'life/r[bcs]'; }
group() {
    case $1 in
    @life) life ;;
    @cache)
        ls src/cache/*.c | grep -v -e cache/cache.c -e cache/stat.c -e cache/each.c
        life
        ls src/base/copy.c src/base/crc32c.c src/base/error.c ;;
    @segment)
        ls src/shm/create.c src/shm/open.c src/shm/directory.c src/life/presence.c \
           src/cache/cache.c src/cache/geometry.c src/cache/hash.c src/base/error.c ;;
    *) echo "$1" ;;
    esac
}
sources_of() {
    for word in $(sed -n 's/^ \* Sources: //p' "$1"); do
        (cd "$root" && group "$word")
    done
}

# explore MODEL RUN: leaves the answer in $json, the exit code in $code.
explore() {
    model=$1 options='' MODEL_FLAGS=''
    for word in $2; do
        case $word in -D*) MODEL_FLAGS="$MODEL_FLAGS $word" ;; *) options="$options $word" ;; esac
    done
    export MODEL_FLAGS
    set --
    for s in $(sources_of "$model"); do set -- "$@" "$root/$s"; done
    # $options is split into words on purpose.
    json=$("$lk" check --cc "$here/cc_once" --json --quiet --time "$limit" $options "$model" "$@" \
           -- -I"$root/src" -I"$root/include" -I"$here" -DLK_BUILD_MODEL=1 -D_GNU_SOURCE \
           -include kernel.h 2>"$work/stderr")
    code=$?
}

value() { printf %s "$json" | sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p"; }
errors() { printf %s "$json" | grep -o '"kind": "[a-z-]*", "place": "[^"]*"' | head -1; }

limit=${MODEL_LIMIT:-200}
for model; do
    name=$(basename "$model" .c)
    case $find,$only in
    *,?*) echo "$only" ;;
    yes,) sed -n 's/^ \* Run: *//p' "$model" && sed -n 's/^ \* Find: *//p' "$model" ;;
    *) sed -n 's/^ \* Run: *//p' "$model" ;;
    esac > "$work/runs"
    while read -r run <&3; do
        explore "$model" "$run"
        case $find,$code in
        no,0)
            passed=$((passed + 1))
            timers=$(value backstops)
            case $(value states) in
            0) what="$(value complete) executions, $(value blocked) blocked" ;;
            *) what="$(value states) states, $(value steps) steps" ;;
            esac
            echo "ok $name $run: $what," \
                 "$([ "${timers:-0}" = 0 ] || echo "$timers by a timer, ")$(value seconds) s" ;;
        yes,1) echo "$name $run finds $(errors)"; exit 0 ;;
        yes,0 | yes,3) ;;
        no,3)
            failed=$((failed + 1))
            echo "BOUND $name $run: $(value complete) executions in $(value seconds) s, no error," \
                 "about $(value estimate) in all" ;;
        *)
            [ "$code" -eq 130 ] && exit 130
            failed=$((failed + 1))
            echo "FAIL $name $run: result $code, $json"
            cat "$work/stderr"
            [ "$find" = yes ] && exit 2 ;;
        esac
    done 3< "$work/runs"
done
[ "$find" = yes ] && { echo "not found"; exit 1; }
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
