/* Waiting for a condition under a whole set, as shipped: one thread waits under both locks until a
 * flag is set; another sets it under both, by a set or by a claim; a third one comes and goes.
 * Whatever the orders in which the locks are written: nobody waits for ever, the waiter holds the
 * whole set when it looks and when it goes on, and nobody else meanwhile.
 * Kills: key.wait_keeps_its_locks, key.inline_keeps_the_first.
 *
 * Sources: src/key/set.c src/key/key.c src/key/member.c src/key/claim.c src/key/wait.c
 * Run: -DTHREADS=2 -DLK_MODEL_TURNS=0
 * Campaign: -DTHREADS=2 -DLK_MODEL_TURNS=1
 * Campaign: --states -DTHREADS=3 -DLK_MODEL_TURNS=0
 */
#include "key_seam.h"

/* lk_scope by its inline way, which the compiler takes only when it optimises. */
#define scope_inline(key, list)                                                                    \
    LK_SCOPE_WITH_(struct lk_held_, lk_scope_leave_, key, lk_spent, lk_spend_,                     \
                   lk_scope_few_(key, list, "model"), LK_JOIN_(lk_scope_of_, __LINE__),            \
                   LK_JOIN_(lk_once_of_, __LINE__))

static lk_mutex lock[2];
static lk_cond cond;
static unsigned turn;     /* of the condition */
static bool flag;         /* guarded by both locks */
static int inside;        /* as well */
static unsigned order[3]; /* of each thread: which lock is written first; 2, 3: by a claim */

/* ---- what wait.c stands on: a condition that everybody hears who waits */

int lk_cond_wait_with(lk_cond *c, const struct lk_cond_lock *l, int clock,
                      const struct timespec *deadline)
{
    (void)c;
    (void)clock;
    (void)deadline;
    unsigned seen = __atomic_load_n(&turn, __ATOMIC_RELAXED);
    l->unlock(l->lock);
    while (__atomic_load_n(&turn, __ATOMIC_RELAXED) == seen)
        ;
    l->relock(l->lock);
    return 0;
}

int lk_once_call_slowly_(lk_once *o, int (*fn)(void *arg), void *arg,
                         const struct timespec *deadline)
{
    (void)o;
    (void)deadline;
    return fn(arg);
}

int lk_barrier_wait_until(lk_barrier *b, const struct timespec *deadline)
{
    (void)b;
    (void)deadline;
    return EINVAL;
}

int lk_sem_wait_until(lk_sem *s, const struct timespec *deadline)
{
    (void)s;
    (void)deadline;
    return EINVAL;
}

/* ---- the threads */

static bool is_set(void *arg)
{
    (void)arg;
    assert(inside == 1);
    return flag;
}

static void *waiter(void *arg)
{
    lk_key key = lk_key_take();
    unsigned a = order[0];
    (void)arg;
    scope_inline(key, LK_SET(LK_LOCK(&lock[a]), LK_LOCK(&lock[1 - a])))
    {
        while (!flag) {
            assert(inside++ == 0 && !is_set(NULL));
            inside--;
            assert(lk_set_wait(key, &cond, NULL) == 0);
        }
        assert(inside++ == 0 && is_set(NULL));
        inside--;
    }
    lk_key_give(key);
    return NULL;
}

static void section(bool sets)
{
    assert(inside++ == 0);
    flag = flag || sets;
    if (sets)
        __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED);
    inside--;
}

static void *other(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg, a = order[me] & 1;
    lk_key key = lk_key_take();
    if (order[me] < 2) {
        scope_inline(key, LK_SET(LK_LOCK(&lock[a]), LK_LOCK(&lock[1 - a]))) section(me == 1);
    } else {
        LK_CLAIM(c, 2);
        assert(lk_claim_begin(&c, key) == 0);
        for (unsigned i = 0; i < 2; i++) {
            int rc = lk_claim_lock(&c, LK_LOCK(&lock[i ^ a]));
            assert(rc == 0 || rc == EAGAIN);
        }
        section(me == 1);
        lk_claim_end(&c, key);
    }
    lk_key_give(key);
    return NULL;
}

int main(void)
{
    pthread_t id[3];
    order[0] = lk_check_choose(2);
    for (int t = 1; t < THREADS; t++)
        order[t] = lk_check_choose(4);
    for (int t = 1; t < THREADS; t++)
        pthread_create(&id[t], NULL, other, (void *)(uintptr_t)t);
    (void)waiter(NULL);
    for (int t = 1; t < THREADS; t++)
        pthread_join(id[t], NULL);
    assert(lock[0].word_ == 0 && lock[1].word_ == 0);
    return 0;
}
