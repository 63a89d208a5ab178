/* prelude.h - what the snippets of fail.c and pass.c use. */
#include <stdlib.h>

#include "latchkey/latchkey.h"

static lk_mutex a, b, c, d, e, f, g, h;
static lk_rwlock r, r2;
static lk_krwlock kr;
static lk_kmutex km;
static lk_once once;
static lk_barrier barrier;
static lk_sem sem;
static lk_cond cond;
static long guarded, mine;
static int rc;

LK_LEVEL(low, 10);
LK_LEVEL(middle, 20);
LK_LEVEL(high, 30);
static lk_mutex_at_low at_low;
static lk_mutex_at_middle at_middle;
static lk_rwlock_at_middle rw_middle;
static lk_mutex_at_high at_high, at_high_too;

void wants_key(lk_key key) LK_NEEDS(key);
void wants_key(lk_key key)
{
    lk_scope (key, LK_SET(LK_LOCK(&b)))
        mine++;
}
static inline void wants_low(lk_at_low key)
{
    lk_scope_level (key, middle, &at_middle)
        mine++;
}
static inline void wants_middle(lk_at_middle key)
{
    (void)key;
}
static inline void wants_spent(lk_spent key)
{
    (void)key;
}
static inline int initialise(lk_key key, void *arg)
{
    (void)key;
    (void)arg;
    return 0;
}
static inline bool holds(void *arg)
{
    (void)arg;
    return true;
}
