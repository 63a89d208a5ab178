#!/bin/sh
# What the options of lk check change: one program, one answer with the option, another without.
# usage: options_test.sh LK
lk=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0

# Each program is compiled once: the options are not the compiler's business.
cat > once <<'END'
#!/bin/sh
before=''
for word; do
    [ "$before" = -o ] && out=$word
    before=$word
    case $word in *.c | *.o) in=$word ;; esac
done
kept=$(basename "$out").$(cksum < "$in" | tr ' ' .)
if [ -f "$kept" ]; then cp "$kept" "$out"; else cc "$@" && cp "$out" "$kept"; fi
END
chmod +x once
cat > threads.h <<'END'
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
static void both(void *(*a)(void *), void *(*b)(void *))
{
    pthread_t t, u;
    pthread_create(&t, 0, a, 0);
    pthread_create(&u, 0, b, 0);
    pthread_join(t, 0);
    pthread_join(u, 0);
}
END
# Store buffering: not in SC.  Message passing without order: in neither SC nor TSO.
cat > store_buffer.c <<'END'
#include "threads.h"
static atomic_int x, y, a, b;
static void *left(void *p)
{
    atomic_store_explicit(&x, 1, memory_order_relaxed);
    a = atomic_load_explicit(&y, memory_order_relaxed);
    return p;
}
static void *right(void *p)
{
    atomic_store_explicit(&y, 1, memory_order_relaxed);
    b = atomic_load_explicit(&x, memory_order_relaxed);
    return p;
}
int main(void) { both(left, right); assert(a || b); }
END
cat > message.c <<'END'
#include "threads.h"
static atomic_int data, flag;
static void *writer(void *p)
{
    atomic_store_explicit(&data, 1, memory_order_relaxed);
    atomic_store_explicit(&flag, 1, memory_order_relaxed);
    return p;
}
static void *reader(void *p)
{
    if (atomic_load_explicit(&flag, memory_order_relaxed))
        assert(atomic_load_explicit(&data, memory_order_relaxed));
    return p;
}
int main(void) { both(writer, reader); }
END
cat > hang.c <<'END'
#include "threads.h"
static atomic_int never;
static void *spin(void *p) { while (!never) ; return p; }
static void *end(void *p) { return p; }
int main(void) { both(spin, end); }
END
cat > mortal.c <<'END'
#include "threads.h"
#include "latchkey/check.h"
static atomic_int a, b;
static void *dies(void *p) { lk_check_mortal(1); a = 1; b = 1; return p; }
static void *lives(void *p) { return p; }
int main(void) { both(dies, lives); assert(a == b); }
END
cat > point.c <<'END'
#include "threads.h"
#include "latchkey/check.h"
static atomic_int a, b;
static void *dies(void *p) { a = 1; lk_check_crash_point(); b = 1; return p; }
static void *lives(void *p) { return p; }
int main(void) { both(dies, lives); int dead = lk_check_dead(1); assert(a == 1 && b == !dead); }
END
cat > early.c <<'END'
#include "threads.h"
#include "latchkey/check.h"
static atomic_int a;
static void *dies(void *p) { lk_check_crash_point(); a = 1; return p; }
static void *lives(void *p) { return p; }
int main(void) { both(dies, lives); assert(a == 1); }
END
cat > adds.c <<'END'
#include "threads.h"
static atomic_int x;
static void *add(void *p) { x++; x++; x++; return p; }
int main(void) { both(add, add); }
END
cat > leak.c <<'END'
#include <stdlib.h>
static void *volatile p;
int main(void) { p = malloc(1); p = 0; }
END

# expect CODE PATTERN WORDS... -- what lk check is given
expect() {
    want=$1 pattern=$2
    shift 2
    "$lk" check --cc ./once --quiet --json "$@" > out 2> err
    code=$?
    if [ $code -eq "$want" ] && grep -q "$pattern" out; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL lk check $*: result $code, not $want with $pattern: $(cat out err)"
    fi
    cat out >> objects
}
none='"errors": \[\],.*"bounded": false'
bound='"errors": \[\],.*"bounded": true'

expect 1 '"sc": false, "tso": true.*"model": "rc11"' store_buffer.c
expect 1 '"sc": false, "tso": true.*"model": "tso"' --model tso store_buffer.c
expect 0 "$none.*\"model\": \"sc\"" --model sc store_buffer.c
expect 1 '"sc": false, "tso": false' --model rc11 message.c
expect 0 "$none.*\"model\": \"tso\"" --model tso message.c
expect 1 '"kind": "hang"' hang.c
expect 0 "\"blocked\": 1,.*$none" --no-liveness hang.c
expect 0 "$none" mortal.c
expect 0 "$none" --deaths 0 mortal.c
expect 1 '"kind": "assert"' --deaths 1 mortal.c
expect 0 '"complete": 2,' --deaths 1 point.c
expect 0 "$none" --deaths 0 early.c
expect 1 '"kind": "assert"' --deaths 1 early.c
expect 1 '"kind": "assert"' --states --deaths 1 early.c
expect 1 '"kind": "leak"' leak.c
expect 0 "$none" --no-leaks leak.c
expect 0 "\"complete\": 20, .*$none.*\"walked\": 200, \"estimate\": [1-9]" adds.c
expect 0 "\"complete\": 20, .*$none.*\"walked\": 0, \"estimate\": 0.0" --walks 0 adds.c
expect 3 "$bound" --executions 5 adds.c
expect 3 "$bound" --loops 3 adds.c
expect 3 "\"preempted\": [1-9]" --preemptions 1 adds.c
expect 0 "$none.*\"states\": [1-9][0-9]*, \"steps\": [1-9].*\"model\": \"sc\"" --states adds.c
expect 3 "$bound.*\"states\": [5-9]," --states --executions 5 adds.c
# Random walks are those of the seed.
for seed in 1 1 2 3; do
    expect 3 "$bound" --random --executions 40 --seed $seed adds.c
    sed 's/.*\("estimate": [0-9.]*\).*/\1/' out >> estimates
done
if [ "$(sed -n 1p estimates)" = "$(sed -n 2p estimates)" ] &&
    [ "$(sort -u estimates | wc -l)" -gt 1 ]
then passed=$((passed + 1))
else failed=$((failed + 1)) && echo "FAIL --seed: $(tr '\n' ' ' < estimates)"
fi
# To go on after an error is to count them all.
expect 1 '"times": ' store_buffer.c
few=$(sed 's/.*"complete": \([0-9]*\).*/\1/' out)
expect 1 '"times": ' --keep-going --walks 0 store_buffer.c
all=$(sed 's/.*"complete": \([0-9]*\).*/\1/' out)
if [ "$all" -ge "$few" ]; then passed=$((passed + 1)); else
    failed=$((failed + 1)) && echo "FAIL --keep-going: $all complete, $few without"
fi
if python3 -c 'import json; [json.loads(line) for line in open("objects")]'; then
    passed=$((passed + 1))
else
    failed=$((failed + 1)) && echo "FAIL --json"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
