#!/bin/bash
# lk db replay answers what the oracle (python3-btrees) answered: the recorded trace and three
# other seeds, on memory and LMDB, with a warm cache, a cache of one node, and a new cache for each
# commit; and with other sizes of nodes.
set -uo pipefail
place=$(mktemp -d /dev/shm/lk-replay-XXXXXX) || exit 1
trap 'rm -rf "$place"' EXIT
oracle=${LK_ORACLE:-/work/shared/data/btree}
[ -r "$oracle/oracle.py" ] || { echo "skipped: no oracle in $oracle (set LK_ORACLE)"; exit 77; }
failed=0 checked=0

# replay WHAT options...
replay() {
    local said
    said=$("$LK" db replay --quiet --sync none --json "$@") || { failed=1; echo "FAIL: $*"; }
    checked=$((checked + $(sed -n 's/.*"checked": \([0-9]*\).*/\1/p' <<<"$said")))
}
# every_way TRACE
every_way() {
    replay "$1"
    replay "$1" --cache-nodes 1
    replay "$1" --cold --commit 7
    replay "$1" --commit 1
    rm -f "$place"/db*
    replay "$1" --store "lmdb:$place/db"
    rm -f "$place"/db*
    replay "$1" --store "lmdb:$place/db" --cold --cache-nodes 1 --commit 9
    "$LK" db check "$place/db" >"$place/said" && "$LK" db pack "$place/db" >>"$place/said" &&
        "$LK" db check "$place/db" >>"$place/said" || { failed=1; cat "$place/said"; }
}

every_way "$oracle/trace.txt.gz"
for size in 3 5 64; do
    replay "$oracle/trace.txt.gz" --node-size $size
done
for seed in 11 12 13; do
    if ! /usr/bin/python3 "$oracle/oracle.py" --ops 3000 --merges 300 --seed $seed \
        >"$place/trace" 2>/dev/null; then
        echo "the oracle's python3-btrees is not installed: recorded trace only"
        break
    fi
    replay "$place/trace"
    rm -f "$place"/db*
    replay "$place/trace" --store "lmdb:$place/db" --cold --cache-nodes 1 --commit 9
done
echo "$checked results checked"
[ "$checked" -gt 240000 ] || { echo "too few"; failed=1; }
exit $failed
