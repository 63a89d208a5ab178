#!/bin/sh
# A failing execution can be run again under gdb: it stops at the failing line with a real stack.
# usage: replay_test.sh LK
lk=$1
here=$(dirname "$0")
command -v gdb > /dev/null || { echo "no gdb: skipped"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
program=$here/classics/store_buffer.c
line=$(grep -n 'assert(a || b)' "$program" | cut -d: -f1)

"$lk" check --quiet --witness "$work/witness" "$program" -- -DMUTANT=1 > "$work/text"
[ $? -eq 1 ] || { echo "FAIL the mutant was not found"; exit 1; }
# The execution may be reached in several stages; the line is reached in the last.
printf '%s\n' "break store_buffer.c:$line" continue 'print a + b' 'backtrace 1' kill quit \
    > "$work/commands"
timeout 100 "$lk" check --quiet --replay "$work/witness" "$program" -- -DMUTANT=1 \
    < "$work/commands" > "$work/out" 2>&1
passed=0 failed=0
for text in "Breakpoint 1, " "main () at" 'assert(a || b)' '$1 = 0'; do
    if grep -qF "$text" "$work/out"; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAIL gdb does not show: $text"; fi
done
[ "$failed" -eq 0 ] || cat "$work/out"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
