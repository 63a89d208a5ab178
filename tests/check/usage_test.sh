#!/bin/sh
# What lk check cannot do, it says in one line, with exit code 2.  usage: usage_test.sh LK
lk=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
echo 'int main(void) { return 0; }' > "$work/good.c"
echo 'int main(void) { return x; }' > "$work/bad.c"
echo 'void f(void); int main(void) { f(); return 0; }' > "$work/missing.c"

# refused WORDS... -- what lk check is given
refused() {
    "$lk" check --quiet "$@" > "$work/out" 2> "$work/err"
    code=$?
    if [ $code -eq 2 ] && [ -s "$work/err" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL lk check $*: result $code, $(head -3 "$work/err")"
    fi
}

cd "$work" || exit 1
refused
refused nosuch.c
refused bad.c
refused missing.c
refused good.o
refused --bogus good.c
refused --states --model rc11 good.c
refused --states --random --executions 1 good.c
refused --preemptions 2 --states good.c
refused --model arm good.c
refused --time abc good.c
refused --time -1 good.c
refused --time 0 good.c
refused --deaths x good.c
refused --deaths -1 good.c
refused --deaths 4294967296 good.c
refused --loops 0 good.c
refused --preemptions x good.c
refused --preemptions -1 good.c
refused --executions 1e9 good.c
refused --executions 99999999999999999999 good.c
refused --replay /nonexistent good.c
refused --replay good.c good.c
refused --cc nosuchcompiler good.c
refused --save /nonexistent/program good.c
refused good.c -- --no-such-flag
if "$lk" check --quiet --executions 1 good.c > out && grep -q 'no error in any execution' out; then
    passed=$((passed + 1))
else
    failed=$((failed + 1)) && echo "FAIL a bound that is just reached"
fi
cat > twice.c <<'END'
#include <pthread.h>
#include <stdatomic.h>
static atomic_int x;
static void *add(void *u) { x++; return u; }
int main(void) { pthread_t t; pthread_create(&t, 0, add, 0); x++; x++; pthread_join(t, 0); }
END
# Before the first thread's additions, or between them, comes only who preempts it.
"$lk" check --quiet --json --preemptions 0 twice.c > out
if [ $? -eq 3 ] && grep -q '"complete": 1,.*"bounded": true.*"preempted": 2' out &&
    "$lk" check --quiet --json --preemptions 1 twice.c > out && grep -q '"complete": 3' out; then
    passed=$((passed + 1))
else
    failed=$((failed + 1)) && echo "FAIL --preemptions: $(cat out)"
fi

# An execution without end does not outlive its time, nor SIGINT: with effects, with plain accesses
# only, and with none at all.
echo '#include <stdatomic.h>
atomic_int x; int main(void) { for (;;) x++; }' > effects.c
echo 'int x; int main(void) { for (;;) *(volatile int *)&x = x; }' > plain.c
echo 'int main(void) { for (;;) __asm__ volatile(""); }' > nothing.c
# bounded NAME: judge what the run left in $code and out
bounded() {
    if [ $code -eq 3 ] && grep -q '"bounded": true' out; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1)) && echo "FAIL $1: result $code, $(cat out)"
    fi
}
for program in effects plain nothing; do
    timeout -s KILL 60 "$lk" check --quiet --json --time 0.2 $program.c > out
    code=$?
    bounded "--time, $program.c"
done
# Once the compiler is done the signal may still come before the search has begun: lk is told until
# it ends.
"$lk" check --quiet --json effects.c > out &
pid=$!
for _ in $(seq 600); do
    ps -o comm= --ppid $pid | grep -q '^program' && break
    sleep 0.1
done
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    kill -INT $pid 2> /dev/null || break
    sleep 1
done
wait $pid
code=$?
bounded SIGINT
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
