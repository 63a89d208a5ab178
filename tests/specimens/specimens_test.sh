#!/bin/sh
# Every failure of FAILURES.md whose code is here: the broken form shows the error that its comment
# expects, the mended one passes every execution.  usage: specimens_test.sh LK [FILE.c...]
lk=$1
shift
[ $# -gt 0 ] || set -- "$(dirname "$0")"/*.c
passed=0 failed=0
for file; do
    grep -q "^ \* Options: " "$file" || echo "$file: no Options line" >&2
    expect=$(sed -n 's/^ \* Expect: \([a-z-]*\).*/\1/p' "$file")
    options=$(sed -n 's/^ \* Options: //p' "$file")
    # $options is split into words on purpose.
    json=$(timeout 200 "$lk" check --json --quiet --time 100 $options "$file" 2>&1)
    code=$?
    seconds=$(printf %s "$json" | sed -n 's/.*"seconds": \([0-9.]*\).*/\1/p')
    count=$(printf %s "$json" | sed -n 's/.*"complete": \([0-9]*\).*/\1/p')
    case $expect,$code,$json in
    none,0,* | [a-z]*,1,*"\"kind\": \"$expect\""*)
        passed=$((passed + 1))
        echo "ok $(basename "$file" .c): $expect, $count executions in $seconds s" ;;
    *)
        failed=$((failed + 1))
        echo "FAIL $(basename "$file" .c): expected $expect, result $code: $json" ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
