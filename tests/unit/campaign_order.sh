#!/bin/bash
# The order graph beside ThreadSanitizer's deadlock detector and helgrind, on the same programs
# (order_beside.c): what can deadlock and what cannot, and what each says.  A few seconds.
# Exit: 0 ours reports every ring and nothing else, 1 not, 77 no library built.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
library=${LK_BUILD_ROOT:-$root/build}/dev/liblatchkey.a
[ -f "$library" ] || { echo "not built: $library"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

cc -O1 -g -DOURS -I"$root/include" "$here/order_beside.c" "$library" -pthread -o "$work/ours" &&
    cc -O1 -g -fsanitize=thread "$here/order_beside.c" -pthread -o "$work/tsan" &&
    cc -O1 -g "$here/order_beside.c" -pthread -o "$work/plain" || exit 1

ours() { "$work/ours" "$1" >/dev/null 2>&1; [ $? -eq 1 ]; }
tsan() {
    TSAN_OPTIONS=detect_deadlocks=1 setarch -R "$work/tsan" "$1" >"$work/said" 2>&1
    grep -q 'lock-order-inversion' "$work/said"
}
helgrind() {
    valgrind --tool=helgrind "$work/plain" "$1" >"$work/said" 2>&1
    grep -q 'lock order .* violated' "$work/said"
}
says() {
    command -v "$2" >/dev/null 2>&1 || { echo "-"; return; }
    if "$1" "$3"; then echo ring; else echo no; fi
}

bad=0
printf '%-20s %-14s %-10s %-10s %s\n' program "can deadlock" latchkey TSan helgrind
while read -r name can <&3; do
    truth=no
    [ "$can" = 1 ] && truth=ring
    said=$(says ours sh "$name")
    printf '%-20s %-14s %-10s %-10s %s\n' "$name" "$([ "$can" = 1 ] && echo yes || echo no)" \
        "$said" "$(says tsan setarch "$name")" "$(says helgrind valgrind "$name")"
    [ "$said" = "$truth" ] || bad=1
done 3< <("$work/plain")
[ $bad -eq 0 ] && echo "latchkey: every ring, no false alarm" || echo "latchkey: WRONG"
exit $bad
