/* Scopes of every size, in place and built, by threads that want each other's locks: they exclude
 * each other and leave the key empty; and nobody is starved: not a claim among sets, not a set
 * among overlapping ones. */
#include <errno.h>
#include <pthread.h>

#include "latchkey/claim.h"
#include "test.h"

enum { LOCKS = 6, THREADS = 4, ROUNDS = 2000, CLAIMS = 60, SEATS = 12 };

static struct {
    lk_mutex m;
    int count;
} lock[LOCKS];

#define L(i) LK_LOCK(&lock[(i) % LOCKS].m)

static void count(unsigned first, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        lock[(first + i) % LOCKS].count++;
}

/* One round: 1 + 2 + 3 + 4 + 5 locks in place, LOCKS by a built set. */
static void *each_size(void *arg)
{
    unsigned at = (unsigned)(uintptr_t)arg;
    lk_key key = lk_key_take();
    lk_member room[LOCKS];
    lk_set all;
    for (unsigned i = 0; i < LOCKS; i++)
        room[i] = L(i + at);
    lk_set_new(&all, room, LOCKS, LOCKS);
    for (unsigned r = 0; r < ROUNDS; r++, at++) {
        lk_scope (key, LK_SET(L(at)))
            count(at, 1);
        lk_scope (key, LK_SET(L(at + 1), L(at)))
            count(at, 2);
        lk_scope (key, LK_SET(L(at), L(at + 2), L(at + 1)))
            count(at, 3);
        lk_scope (key, LK_SET(L(at + 3), L(at + 1), L(at + 2), L(at)))
            count(at, 4);
        lk_scope (key, LK_SET(L(at + 4), L(at), L(at + 3), L(at + 1), L(at + 2)))
            count(at, 5);
        lk_scope (key, LK_OF(&all))
            count(at, LOCKS);
        T_REQUIRE_EQ(lk_held(key), 0);
    }
    lk_key_give(key);
    return NULL;
}

T_TEST(scopes_of_every_size_exclude_each_other)
{
    pthread_t id[THREADS];
    int sum = 0;
    for (uintptr_t t = 0; t < THREADS; t++)
        T_REQUIRE_EQ(pthread_create(&id[t], NULL, each_size, (void *)(3 * t)), 0);
    for (int t = 0; t < THREADS; t++)
        T_REQUIRE_EQ(pthread_join(id[t], NULL), 0);
    for (int i = 0; i < LOCKS; i++) {
        T_REQUIRE_EQ(lk_mutex_trylock(&lock[i].m), 0);
        sum += lock[i].count;
    }
    T_REQUIRE_EQ(sum, THREADS * ROUNDS * (1 + 2 + 3 + 4 + 5 + LOCKS));
}

/* ---- starvation */

static uint32_t stop;
static uint64_t meals[SEATS];

static bool stopped(void)
{
    return __atomic_load_n(&stop, __ATOMIC_RELAXED) != 0;
}

static void *hammer(void *arg)
{
    unsigned at = (unsigned)(uintptr_t)arg;
    lk_key key = lk_key_take();
    for (; !stopped(); at++)
        lk_scope (key, LK_SET(L(at % 3), L((at + 1) % 3)))
            count(at % 3, 1);
    lk_key_give(key);
    return NULL;
}

/* The claim locks against the order, so each one has to give way, while three threads lock what it
 * wants and do nothing else.  It gives way at most twice for three locks, and so it comes through,
 * CLAIMS times, long before the test's time is over. */
T_TEST(a_claim_against_the_order_is_not_starved_by_sets)
{
    pthread_t id[3];
    uint64_t longest_ns = 0;
    size_t most = 0;
    lk_key key = lk_key_take();
    stop = 0;
    for (uintptr_t t = 0; t < 3; t++)
        T_REQUIRE_EQ(pthread_create(&id[t], NULL, hammer, (void *)t), 0);
    for (int i = 0; i < CLAIMS; i++) {
        LK_CLAIM(claim, 3);
        uint64_t begun = t_now_ns();
        T_REQUIRE_RC(lk_claim_begin(&claim, key), 0);
        for (unsigned at = 3; at-- > 0;) {
            int rc = lk_claim_lock(&claim, L(at));
            T_REQUIRE(rc == 0 || rc == EAGAIN);
        }
        uint64_t ns = t_now_ns() - begun;
        longest_ns = ns > longest_ns ? ns : longest_ns;
        most = lk_claim_restarts(&claim) > most ? lk_claim_restarts(&claim) : most;
        lk_claim_end(&claim, key);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int t = 0; t < 3; t++)
        T_REQUIRE_RC(lk_key_join(key, id[t], NULL), 0);
    T_LOG("%d claims, the longest %.2f ms, gave way %zu times at most", CLAIMS,
          (double)longest_ns / 1e6, most);
    T_REQUIRE(most <= 2);
    lk_key_give(key);
}

static lk_mutex fork_[SEATS];

static void *dine(void *arg)
{
    unsigned seat = (unsigned)(uintptr_t)arg;
    lk_key key = lk_key_take();
    while (!stopped())
        lk_scope (key, LK_SET(LK_LOCK(&fork_[seat]), LK_LOCK(&fork_[(seat + 1) % SEATS])))
            __atomic_fetch_add(&meals[seat], 1, __ATOMIC_RELAXED);
    lk_key_give(key);
    return NULL;
}

/* More philosophers than processors: each eats, again and again.  (Shares: lk bench keys.) */
T_TEST(every_philosopher_eats_again_and_again)
{
    pthread_t id[SEATS];
    struct timespec nap = {0, 1000000};
    stop = 0;
    for (uintptr_t s = 0; s < SEATS; s++)
        T_REQUIRE_EQ(pthread_create(&id[s], NULL, dine, (void *)s), 0);
    for (int s = 0; s < SEATS; s++)
        while (__atomic_load_n(&meals[s], __ATOMIC_RELAXED) < 1000)
            (void)nanosleep(&nap, NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int s = 0; s < SEATS; s++)
        T_REQUIRE_EQ(pthread_join(id[s], NULL), 0);
}
