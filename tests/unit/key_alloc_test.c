/* No lock path allocates: every call of the C library's allocator is counted, and there are none.
 * Runs in: dev clang */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "latchkey/latchkey.h"
#include "test.h"

static unsigned calls;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t align, size_t size);
void *malloc(size_t size)
{
    calls++;
    return __libc_malloc(size);
}
void *calloc(size_t n, size_t size)
{
    calls++;
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t size)
{
    calls++;
    return __libc_realloc(p, size);
}
void *aligned_alloc(size_t align, size_t size)
{
    calls++;
    return __libc_memalign(align, size);
}

enum { MANY = 300 };
static lk_mutex m[MANY];
static lk_rwlock rw;
static lk_kmutex km;
LK_LEVEL(low, 1);
LK_LEVEL(high, 2);
static lk_mutex_at_low at_low;
static lk_mutex_at_high at_high;

T_TEST(lock_paths_never_allocate)
{
    static lk_member members[MANY];
    lk_set set;
    struct timespec past = {0, 0};
    int rc;
    lk_key key = lk_key_take();
    calls = 0;
    for (int i = 0; i < MANY; i++)
        members[i] = LK_LOCK(&m[MANY - 1 - i]);
    lk_scope (key, LK_SET(LK_LOCK(&m[1]), LK_LOCK(&m[0]), LK_READ(&rw), LK_LOCK(&km)))
        T_REQUIRE_EQ(lk_held(key), 4);
    lk_scope (key, LK_ARRAY(members, MANY))
        T_REQUIRE_EQ(lk_held(key), MANY);
    lk_mutex_lock(&m[7]);
    lk_scope_try (key, rc, LK_ARRAY(members, MANY))
        T_FAIL("locked");
    T_REQUIRE_RC(rc, EBUSY);
    lk_scope_until (key, rc, LK_ARRAY(members, MANY), &past)
        T_FAIL("locked");
    T_REQUIRE_RC(rc, ETIMEDOUT);
    lk_mutex_unlock(&m[7]);
    T_REQUIRE_RC(lk_set_init(&set, members, MANY, MANY, NULL), 0);
    lk_scope (key, LK_OF(&set))
        T_REQUIRE_EQ(lk_held(key), MANY);
    lk_scope_level (key, low, &at_low)
        lk_scope_level (key, high, &at_high)
            T_REQUIRE_EQ(lk_held(key), 2);
    LK_CLAIM(claim, 100);
    lk_scope_claim (key, claim)
        for (int i = 0; i < 100; i++)
            T_REQUIRE_RC(lk_claim_lock(&claim, members[i]), 0);
    lk_mutex *same = &m[0];
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_LOCK(&m[0]), LK_LOCK(same))), EDEADLK);
    lk_key_give(key);
    T_REQUIRE_EQ(calls, 0);
    void *volatile p = malloc(1); /* the counter counts */
    T_REQUIRE(p != NULL && calls == 1);
    free(p);
}
