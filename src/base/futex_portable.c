/* futex_portable.c - sleeping on words with nothing but POSIX threads: a parking lot.
 *
 * Sleepers stand in buckets by the address of their word, each with a condition of its own.  A
 * waker locks the bucket, so it comes before a sleeper's comparison or finds it in the queue.
 * Queues are first come, first served.
 * No other process can be woken this way, nor by the kernel at a death: a sleep on a word that is
 * shared ends every LOOK_AGAIN_NS with EINTR, and the caller looks again.
 * Selected by LATCHKEY_FUTEX=portable; on Linux it serves to test what other systems would use. */
#include "base/futex.h"

#ifdef LK_FUTEX_PORTABLE
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "base/atomic.h"
#include "base/clock.h"

enum { BUCKETS = 64, LOOK_AGAIN_NS = 1000000 };

struct sleeper {
    const uint32_t *word;
    pthread_cond_t woken;
    bool is_woken;
    struct sleeper *next;
};

#define ONE                                                                                        \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, NULL                                                            \
    }
#define FOUR ONE, ONE, ONE, ONE
#define SIXTEEN FOUR, FOUR, FOUR, FOUR

static struct bucket {
    pthread_mutex_t lock;
    struct sleeper *first;
} buckets[BUCKETS] = {SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN};

static struct bucket *bucket_of(const uint32_t *word)
{
    uint64_t hash = (uint64_t)(uintptr_t)word / sizeof *word * UINT64_C(0x9e3779b97f4a7c15);
    return &buckets[hash >> 58];
}

static void enter_queue(struct bucket *b, struct sleeper *s)
{
    struct sleeper **end = &b->first;
    while (*end != NULL)
        end = &(*end)->next;
    s->next = NULL;
    *end = s;
}

static void leave_queue(struct bucket *b, const struct sleeper *s)
{
    struct sleeper **at = &b->first;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
}

/* In the queue, the bucket locked: until woken or the time.  Out of the queue behind it. */
static int stay(struct bucket *b, struct sleeper *s, const struct timespec *at)
{
    int rc = 0;
    while (!s->is_woken && rc != ETIMEDOUT)
        rc = at == NULL ? pthread_cond_wait(&s->woken, &b->lock)
                        : pthread_cond_timedwait(&s->woken, &b->lock, at);
    if (s->is_woken)
        return 0;
    leave_queue(b, s);
    return ETIMEDOUT;
}

static int sleep_until(const uint32_t *word, uint32_t value, const struct lki_deadline *until)
{
    struct bucket *b = bucket_of(word);
    struct sleeper s = {.word = word};
    pthread_condattr_t clock;
    int rc = EAGAIN;
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, until->clock);
    (void)pthread_cond_init(&s.woken, &clock);
    (void)pthread_mutex_lock(&b->lock);
    /* [futex_portable.1] relaxed: the bucket's lock orders it against wakers, as the kernel's
     * does. */
    if (lk_load_rlx_u32(word) == value) {
        enter_queue(b, &s);
        rc = stay(b, &s, until->at);
    }
    (void)pthread_mutex_unlock(&b->lock);
    (void)pthread_cond_destroy(&s.woken);
    (void)pthread_condattr_destroy(&clock);
    return rc;
}

int lki_futex_sleep(const uint32_t *word, uint32_t value, bool shared,
                    const struct lki_deadline *until)
{
    if (!shared)
        return sleep_until(word, value, until);
    struct timespec soon = lki_timespec(lki_mono_ns() + LOOK_AGAIN_NS);
    int rc = sleep_until(word, value, &(struct lki_deadline){&soon, CLOCK_MONOTONIC});
    if (rc != ETIMEDOUT)
        return rc;
    return until->at != NULL && lki_deadline_passed(until) ? ETIMEDOUT : EINTR;
}

int lki_futex_rouse(const uint32_t *word, int n, bool shared)
{
    struct bucket *b = bucket_of(word);
    int woken = 0;
    (void)shared;
    (void)pthread_mutex_lock(&b->lock);
    struct sleeper **at = &b->first;
    while (*at != NULL && woken < n) {
        struct sleeper *s = *at;
        if (s->word != word) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        s->is_woken = true;
        (void)pthread_cond_signal(&s->woken);
        woken++;
    }
    (void)pthread_mutex_unlock(&b->lock);
    return woken;
}

int lki_futex_wait(const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb,
                   const struct timespec *until)
{
    if (b != NULL &&
        lk_load_rlx_u32(b) != vb) /* [futex_portable.2] relaxed: looked at again soon */
        return EAGAIN;
    return lki_futex_sleep(a, va, true, &(struct lki_deadline){until, CLOCK_MONOTONIC});
}

int lki_futex_wake(const uint32_t *word, int n)
{
    return lki_futex_rouse(word, n, true);
}
#endif
