#!/bin/bash
# The oracle's trace and three other seeds of its length, with the trace's node sizes and others
# from 3 to the default, a warm cache, a cache of one node and a new cache behind each commit, on
# memory, LMDB and PostgreSQL: no wrong result, and what is stored is sound.
#     CAMPAIGN_SHORT=1    the recorded trace and one seed of a tenth of its length
#     LK_ORACLE           where oracle.py and trace.txt.gz are
# Exit: 0 sound, 1 not, 77 no oracle.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${LK_TEST_POSTGRESQL:-}" ] && [ -z "${LK_NO_POSTGRESQL:-}" ]; then
    "$here/with_postgresql" "$0" "$@"
    code=$?
    [ $code = 77 ] || exit $code
    echo "without PostgreSQL"
    LK_NO_POSTGRESQL=1 exec "$0" "$@"
fi
LK=${LK:-$here/../../build/lk}
oracle=${LK_ORACLE:-/work/shared/data/btree}
[ -r "$oracle/oracle.py" ] || { echo "skipped: no oracle in $oracle (set LK_ORACLE)"; exit 77; }
place=$(mktemp -d /dev/shm/lk-oracle-XXXXXX) || exit 1
trap 'rm -rf "$place"' EXIT
trap 'exit 130' INT TERM
checked=0 failed=0 runs=0

# replay STORE TRACE options...
replay() {
    local store=$1 said code
    shift
    case $store in
    lmdb:*) rm -f "$place"/db* ;;
    postgresql:*) psql -q "$store" -c 'SET client_min_messages = error;
        DROP TABLE IF EXISTS lk_record, lk_head' ;;
    esac
    said=$("$LK" db replay --quiet --sync none --json --store "$store" "$@")
    code=$?
    runs=$((runs + 1))
    checked=$((checked + $(sed -n 's/.*"checked": \([0-9]*\).*/\1/p' <<<"$said")))
    [ $code = 0 ] || { failed=1; echo "FAIL ($code): $store $*"; }
    [ "$store" = mem: ] && return
    "$LK" db check "$store" >"$place/said" && "$LK" db pack "$store" >>"$place/said" &&
        "$LK" db check "$store" >>"$place/said" || { failed=1; cat "$place/said"; }
}

sizes=(0 3 4 5 8 16 32 64) server_sizes=(0 3 64) seeds=(31 32 33) ops=20000 merges=3000
if [ "${CAMPAIGN_SHORT:-0}" = 1 ]; then
    sizes=(0 3 64) server_sizes=(0) seeds=(31) ops=2000 merges=300
fi
traces=("$oracle/trace.txt.gz")
for seed in "${seeds[@]}"; do
    /usr/bin/python3 "$oracle/oracle.py" --ops $ops --merges $merges --seed "$seed" \
        >"$place/trace.$seed" || { echo "FAIL: the oracle (python3-btrees)"; exit 1; }
    traces+=("$place/trace.$seed")
done
for trace in "${traces[@]}"; do
    for store in mem: "lmdb:$place/db" "${LK_TEST_POSTGRESQL:-}"; do
        [ -n "$store" ] || continue
        of=("${sizes[@]}")
        case $store in postgresql:*) of=("${server_sizes[@]}") ;; esac
        for size in "${of[@]}"; do
            options=()
            [ "$size" = 0 ] || options=(--node-size "$size")
            replay "$store" "$trace" "${options[@]}" --commit 50
            replay "$store" "$trace" "${options[@]}" --commit 50 --cache-nodes 1
            replay "$store" "$trace" "${options[@]}" --commit 50 --cold
        done
        echo "$(basename "$trace") on ${store%%:*}: $checked results checked so far"
    done
done
echo "$runs replays, $checked results checked"
exit $failed
