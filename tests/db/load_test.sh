#!/bin/bash
# lk db load loses nothing, whatever the order of its lines: sorted into an empty tree (one pass),
# sorted for a while, with keys that come twice, into a tree that has entries, in small commits.
set -uo pipefail
place=$(mktemp -d /dev/shm/lk-load-XXXXXX) || exit 1
trap 'rm -rf "$place"' EXIT
failed=0
db=$place/db

# check WHAT: the tree has what sort(1) makes of the lines, the last of a key.
check() {
    awk -F, '{ value[$1] = $0 } END { for (k in value) print value[k] }' "$place/in" |
        LC_ALL=C sort -t, -k1,1 >"$place/wanted"
    "$LK" db dump "$db" t --csv >"$place/got" && "$LK" db check "$db" >/dev/null &&
        [ -s "$place/got" ] && cmp -s "$place/wanted" "$place/got" || { failed=1; echo "FAIL: $1"; }
}
# load options...: the lines, into a new store
load() {
    rm -f "$db" "$db-lock"
    "$LK" db load "$db" t --csv --quiet --sync none "$@" <"$place/in" ||
        { failed=1; echo "FAIL: load"; }
}
commits() { "$LK" db history "$db" | wc -l; }

awk 'BEGIN { for (i = 1; i <= 30000; i++) printf "k%06d,value %d\n", i, i }' >"$place/in"
load
check "sorted"
[ "$(commits)" = 1 ] || { failed=1; echo "FAIL: sorted lines took $(commits) commits"; }
load --commit 7000
check "sorted, in small commits"
[ "$(commits)" = 5 ] || { failed=1; echo "FAIL: commits of 7,000 of 30,000 were $(commits)"; }
{ seq -f 'k%06g,a' 100 5000; seq -f 'k%06g,b' 50 150; echo 'k000001,c'; } >"$place/in"
load
check "sorted for a while"
{ seq -f 'k%06g,a' 1 100; echo 'k000100,again'; seq -f 'k%06g,a' 101 200; } >"$place/in"
load
check "a key twice"
seq -f 'k%06g,new' 50 60 >"$place/more"
"$LK" db load "$db" t --csv --quiet <"$place/more" || failed=1
cat "$place/more" >>"$place/in"
check "into a tree that has entries"
seq -f 'k%06g,x' 1 2000 | shuf --random-source=<(yes) >"$place/in"
load
check "shuffled"
printf 'k1,a\nk2,b\nno entry\n' |
    "$LK" db load "$db" other --csv --quiet 2>"$place/said" && failed=1
grep -q 'line 3 is no entry' "$place/said" || { failed=1; cat "$place/said"; }
"$LK" db dump "$db" other >"$place/got" 2>&1 &&
    { failed=1; echo "FAIL: half of bad input is there"; }
exit $failed
