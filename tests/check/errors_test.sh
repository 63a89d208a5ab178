#!/bin/sh
# One small program for each kind of error, and for what must be none: its comment has the options
# of lk check and the kind that it expects (none = every execution passes; bound = no error is seen,
# but a bound is hit).
# usage: errors_test.sh LK [FILE.c...]
one() {
    name=$(basename "$2" .c)
    expect=$(sed -n 's/^ \* Expect: \([a-z-]*\).*/\1/p' "$2")
    options=$(sed -n 's/^ \* Options: *//p' "$2")
    # $options is split into words on purpose.
    json=$(timeout 60 "$1" check --json --quiet --time 30 $options "$2" -- -D_GNU_SOURCE 2>&1)
    code=$?
    case $expect,$code,$json in
    none,0,* | bound,3,* | [a-z]*,1,*"\"kind\": \"$expect\""*) echo "ok $name: $expect" ;;
    *) echo "FAIL $name: expected '$expect', result $code: $json" ;;
    esac
}

if [ "$1" = --one ]; then
    one "$2" "$3"
    exit
fi
lk=$1
shift
[ $# -gt 0 ] || set -- "$(dirname "$0")"/errors/*.c
out=$(printf '%s\n' "$@" | xargs -P 2 -I{} sh "$0" --one "$lk" {})
printf '%s\n' "$out" | grep FAIL
passed=$(printf '%s\n' "$out" | grep -c ^ok)
echo "$passed passed of $#"
[ "$passed" -eq $# ]
