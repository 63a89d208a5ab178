/* Leases: one computes, the others wait, take what is stale, or get the lease when its holder
 * gives up or dies.
 * Runs alone: times are measured. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/section.h"
#include "latchkey/latchkey.h"
#include "test.h"

enum { MS = 1000000, TABLE = 32 };

static lk_cache *new_cache(void)
{
    lk_cache *c = NULL;
    struct lk_cache_options o = {.shards = 1, .capacity_bytes = 65536, .threads = 64};
    T_REQUIRE_RC(lk_cache_open_anonymous(&c, &o), 0);
    return c;
}

static struct timespec in_ns(uint64_t ns)
{
    uint64_t at = t_now_ns() + ns;
    return (struct timespec){.tv_sec = (time_t)(at / 1000000000u),
                             .tv_nsec = (long)(at % 1000000000u)};
}

/* Ask for the lease of a key; the value comes as a string. */
static int ask(lk_cache *c, const char *key, unsigned flags, uint64_t wait_ns, char text[64],
               struct lk_lease *lease)
{
    struct timespec until = in_ns(wait_ns);
    size_t size = 0;
    int rc = lk_cache_lease(c, key, strlen(key), text, 63, &size, flags, &until, lease);
    text[rc == 0 || rc == ESTALE ? size : 0] = '\0';
    return rc;
}

static int fill(lk_cache *c, const char *key, const char *value, struct lk_lease *lease)
{
    return lk_cache_fill(c, key, strlen(key), value, strlen(value), LK_TTL_NEVER, lease);
}

static struct lk_cache_stat stat_of(lk_cache *c)
{
    struct lk_cache_stat s;
    T_REQUIRE_RC(lk_cache_stat(c, &s), 0);
    return s;
}

static void sleep_ms(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS}, NULL);
}

static void require_no_leases(lk_cache *c)
{
    T_REQUIRE_EQ(stat_of(c).leases_held, 0);
    T_REQUIRE_EQ(stat_of(c).backstops, 0);
    T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
}

T_TEST(absent_value_gives_the_lease_and_a_filled_one_a_hit)
{
    lk_cache *c = new_cache();
    struct lk_lease lease, other;
    char text[64];
    T_REQUIRE_RC(ask(c, "k", 0, 0, text, &lease), ENOENT);
    T_REQUIRE_EQ(stat_of(c).leases_held, 1);
    T_REQUIRE_RC(fill(c, "k", "computed", &lease), 0);
    T_REQUIRE_RC(ask(c, "k", 0, 0, text, &other), 0);
    T_REQUIRE_STR_EQ(text, "computed");
    /* The lease is used up. */
    T_REQUIRE_RC(fill(c, "k", "again", &lease), ECANCELED);
    lk_cache_release(c, &lease);
    /* Given back: the next one gets it. */
    T_REQUIRE_RC(ask(c, "m", 0, 0, text, &lease), ENOENT);
    lk_cache_release(c, &lease);
    T_REQUIRE_RC(ask(c, "m", 0, 0, text, &other), ENOENT);
    T_REQUIRE_RC(fill(c, "m", "v", &lease), ECANCELED); /* that one was given back */
    T_REQUIRE_RC(fill(c, "m", "w", &other), 0);
    require_no_leases(c);
    T_REQUIRE_EQ(stat_of(c).leases, 3);
    lk_cache_close(c);
}

T_TEST(fill_takes_only_what_belongs_to_it)
{
    lk_cache *c = new_cache();
    struct lk_lease lease;
    char text[64];
    static char large[20000];
    T_REQUIRE_RC(ask(c, "k", 0, 0, text, &lease), ENOENT);
    T_REQUIRE_RC(fill(c, "another", "v", &lease), EINVAL);
    T_REQUIRE_RC(lk_cache_fill(c, "k", 1, large, sizeof large, 0, &lease), E2BIG);
    require_no_leases(c); /* given back */
    T_REQUIRE_RC(ask(c, "k", 0, 0, text, &lease), ENOENT);
    T_REQUIRE_RC(lk_cache_fill(c, "k", 1, "v", 1, 1, &lease), 0); /* expires at once */
    T_REQUIRE_RC(ask(c, "k", 0, 0, text, &lease), ENOENT);
    lk_cache_release(c, &lease);
    lk_cache_close(c);
}

struct holding {
    lk_cache *cache;
    pthread_barrier_t step;
};

static void *hold_the_shard(void *arg)
{
    struct holding *h = arg;
    struct lki_section x;
    T_REQUIRE_RC(lki_section_enter(&x, h->cache, 0), 0);
    (void)pthread_barrier_wait(&h->step);
    (void)pthread_barrier_wait(&h->step);
    lki_section_leave(&x);
    return NULL;
}

T_TEST(a_lease_that_cannot_be_given_back_in_time_is_kept)
{
    struct lk_cache_options o = {.shards = 1,
                                 .capacity_bytes = 65536,
                                 .threads = 4,
                                 .flags = LK_CACHE_CREATE,
                                 .lock_timeout_ns = 5 * MS};
    struct holding h;
    struct lk_lease lease;
    pthread_t thread;
    char text[64];
    T_REQUIRE_RC(lk_cache_open_anonymous(&h.cache, &o), 0);
    T_REQUIRE_EQ(pthread_barrier_init(&h.step, NULL, 2), 0);
    T_REQUIRE_RC(ask(h.cache, "k", 0, 0, text, &lease), ENOENT);
    T_REQUIRE_EQ(pthread_create(&thread, NULL, hold_the_shard, &h), 0);
    (void)pthread_barrier_wait(&h.step);
    T_REQUIRE_RC(lk_cache_release(h.cache, &lease), ETIMEDOUT);
    T_REQUIRE_RC(fill(h.cache, "k", "v", &lease), ETIMEDOUT);
    (void)pthread_barrier_wait(&h.step);
    T_REQUIRE_EQ(pthread_join(thread, NULL), 0);
    T_REQUIRE_EQ(stat_of(h.cache).leases_held, 1);
    T_REQUIRE_RC(lk_cache_release(h.cache, &lease), 0);
    require_no_leases(h.cache);
    T_REQUIRE_RC(lk_cache_release(h.cache, &lease), 0); /* it had ended */
    lk_cache_close(h.cache);
}

/* What was computed may be out of date when the key was changed meanwhile. */
T_TEST(a_change_of_the_key_voids_the_lease)
{
    lk_cache *c = new_cache();
    struct lk_lease lease;
    char text[64];
    for (int how = 0; how < 6; how++) {
        (void)!lk_cache_delete(c, "k", 1);
        T_REQUIRE_RC(ask(c, "k", 0, 0, text, &lease), ENOENT);
        int rc = how == 0   ? lk_cache_set(c, "k", 1, "set", 3, 0)
                 : how == 1 ? lk_cache_add(c, "k", 1, "set", 3, 0)
                 : how == 2 ? lk_cache_incr(c, "k", 1, 1, 1, 0, NULL)
                 : how == 3 ? lk_cache_flush(c)
                 : how == 4 ? lk_cache_set(c, "k", 1, "set", 3, 1)
                            : (lk_cache_delete(c, "k", 1) == ENOENT ? 0 : 1);
        T_REQUIRE_RC(rc, 0);
        T_REQUIRE_RC(fill(c, "k", "out of date", &lease), ECANCELED);
        require_no_leases(c);
        rc = ask(c, "k", 0, 0, text, &lease);
        T_REQUIRE_RC(rc, how < 3 ? 0 : ENOENT);
        if (rc == 0)
            T_REQUIRE_STR_EQ(text, how == 2 ? "1" : "set");
        else
            lk_cache_release(c, &lease);
    }
    /* A change of another key does not. */
    T_REQUIRE_RC(ask(c, "j", 0, 0, text, &lease), ENOENT);
    T_REQUIRE_RC(lk_cache_set(c, "k", 1, "set", 3, 0), 0);
    T_REQUIRE_RC(fill(c, "j", "good", &lease), 0);
    lk_cache_close(c);
}

/* What the processes of a test share. */
struct shared {
    lk_cache *cache;
    volatile uint32_t ready;
    volatile uint32_t leases;
    volatile uint64_t at_ns;
};

static struct shared *new_shared(void)
{
    struct shared *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(s != MAP_FAILED);
    s->cache = new_cache();
    return s;
}

static void wait_ready(struct shared *s, uint32_t n)
{
    while (__atomic_load_n(&s->ready, __ATOMIC_SEQ_CST) < n)
        sleep_ms(1);
}

static void hold_lease(void *arg)
{
    struct shared *s = arg;
    struct lk_lease lease;
    char text[64];
    T_REQUIRE_RC(ask(s->cache, "k", 0, 0, text, &lease), ENOENT);
    __atomic_add_fetch(&s->ready, 1, __ATOMIC_SEQ_CST);
    for (;;)
        (void)pause();
}

T_TEST(waiting_ends_at_the_deadline)
{
    struct shared *s = new_shared();
    struct lk_lease lease;
    char text[64];
    pid_t holder = t_fork(hold_lease, s);
    wait_ready(s, 1);
    T_REQUIRE_RC(ask(s->cache, "k", 0, 0, text, &lease), ETIMEDOUT);
    uint64_t begun = t_now_ns();
    T_REQUIRE_RC(ask(s->cache, "k", 0, 70ull * MS, text, &lease), ETIMEDOUT);
    uint64_t took = t_now_ns() - begun;
    T_REQUIRE(took >= 70ull * MS);
    if (took > 2000ull * MS)
        T_FAIL("a wait of 70 ms took %llu ms", (unsigned long long)(took / MS));
    T_REQUIRE_RC(ask(s->cache, "other", 0, 0, text, &lease), ENOENT);
    T_REQUIRE(stat_of(s->cache).lease_waits > 0);
    (void)kill(holder, SIGKILL);
    (void)t_wait(holder);
}

/* An expired value that is still there is better than waiting. */
T_TEST(stale_value_is_given_to_those_who_take_it)
{
    struct shared *s = new_shared();
    struct lk_lease lease;
    char text[64];
    T_REQUIRE_RC(lk_cache_set(s->cache, "k", 1, "old", 3, 1), 0);
    pid_t holder = t_fork(hold_lease, s);
    wait_ready(s, 1);
    T_REQUIRE_RC(ask(s->cache, "k", LK_LEASE_STALE, 0, text, &lease), ESTALE);
    T_REQUIRE_STR_EQ(text, "old");
    size_t size = 0;
    T_REQUIRE_RC(lk_cache_lease(s->cache, "k", 1, text, 1, &size, LK_LEASE_STALE, NULL, &lease),
                 ENOBUFS);
    T_REQUIRE_EQ(size, 3);
    T_REQUIRE_RC(ask(s->cache, "k", 0, 0, text, &lease), ETIMEDOUT);
    T_REQUIRE_RC(ask(s->cache, "j", LK_LEASE_STALE, 0, text, &lease), ENOENT);
    (void)kill(holder, SIGKILL);
    (void)t_wait(holder);
    /* Nobody computes: the lease comes first, even for those who would take the stale value. */
    T_REQUIRE_RC(ask(s->cache, "k", LK_LEASE_STALE, 0, text, &lease), ENOENT);
    T_REQUIRE_RC(fill(s->cache, "k", "new", &lease), 0);
    T_REQUIRE_RC(ask(s->cache, "k", LK_LEASE_STALE, 0, text, &lease), 0);
    T_REQUIRE_STR_EQ(text, "new");
}

static void want_value(void *arg)
{
    struct shared *s = arg;
    struct lk_lease lease;
    char text[64];
    __atomic_add_fetch(&s->ready, 1, __ATOMIC_SEQ_CST);
    int rc = ask(s->cache, "k", 0, 20000ull * MS, text, &lease);
    if (rc == ENOENT) {
        __atomic_add_fetch(&s->leases, 1, __ATOMIC_SEQ_CST);
        sleep_ms(50);
        T_REQUIRE_RC(fill(s->cache, "k", "computed once", &lease), 0);
        return;
    }
    T_REQUIRE_RC(rc, 0);
    T_REQUIRE_STR_EQ(text, "computed once");
}

T_TEST(of_many_processes_one_computes)
{
    enum { PROCESSES = 12 };
    struct shared *s = new_shared();
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = t_fork(want_value, s);
    for (int i = 0; i < PROCESSES; i++)
        T_REQUIRE_EQ(t_wait(pids[i]), 0);
    T_REQUIRE_EQ(s->leases, 1);
    T_REQUIRE_EQ(stat_of(s->cache).leases, 1);
    require_no_leases(s->cache);
}

static void want_and_give_back(void *arg)
{
    struct shared *s = arg;
    struct lk_lease lease;
    char text[64];
    T_REQUIRE_RC(ask(s->cache, "k", 0, 20000ull * MS, text, &lease), ENOENT);
    T_REQUIRE_EQ(__atomic_add_fetch(&s->leases, 1, __ATOMIC_SEQ_CST), 1); /* alone */
    sleep_ms(3);
    __atomic_sub_fetch(&s->leases, 1, __ATOMIC_SEQ_CST);
    lk_cache_release(s->cache, &lease);
}

/* Each gives the lease back, so each gets it once, one after the other. */
T_TEST(a_lease_that_is_given_back_goes_to_a_waiter)
{
    enum { PROCESSES = 12 };
    struct shared *s = new_shared();
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = t_fork(want_and_give_back, s);
    for (int i = 0; i < PROCESSES; i++)
        T_REQUIRE_EQ(t_wait(pids[i]), 0);
    T_REQUIRE_EQ(stat_of(s->cache).leases, PROCESSES);
    require_no_leases(s->cache);
}

static void note_when_granted(void *arg)
{
    struct shared *s = arg;
    struct lk_lease lease;
    char text[64];
    __atomic_add_fetch(&s->ready, 1, __ATOMIC_SEQ_CST);
    T_REQUIRE_RC(ask(s->cache, "k", 0, 20000ull * MS, text, &lease), ENOENT);
    s->at_ns = t_now_ns();
    T_REQUIRE_RC(fill(s->cache, "k", "computed", &lease), 0);
}

static int compare_times(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The holder is killed while another sleeps for its lease: the sleeper has it in less than 5 ms
 * (the median of several, for a machine that does other things besides). */
T_TEST(a_dead_holder_is_replaced_at_once)
{
    enum { ROUNDS = 15 };
    uint64_t took[ROUNDS];
    struct shared *s = new_shared();
    for (int i = 0; i < ROUNDS; i++) {
        s->ready = 0;
        s->at_ns = 0;
        (void)!lk_cache_delete(s->cache, "k", 1);
        pid_t holder = t_fork(hold_lease, s);
        wait_ready(s, 1);
        pid_t waiter = t_fork(note_when_granted, s);
        wait_ready(s, 2);
        sleep_ms(20); /* it sleeps by now */
        uint64_t killed = t_now_ns();
        (void)kill(holder, SIGKILL);
        T_REQUIRE_EQ(t_wait(waiter), 0);
        T_REQUIRE_EQ(t_wait(holder), -SIGKILL);
        took[i] = s->at_ns - killed;
    }
    qsort(took, ROUNDS, sizeof took[0], compare_times);
    T_LOG("from death to the next lease: median %llu us, longest %llu us",
          (unsigned long long)(took[ROUNDS / 2] / 1000),
          (unsigned long long)(took[ROUNDS - 1] / 1000));
    /* Sanitized code is slower, and so are its limits. */
    const char *scale = getenv("T_TIMEOUT_SCALE");
    T_REQUIRE(took[ROUNDS / 2] < 5ull * MS * (scale != NULL ? 10 : 1));
    T_REQUIRE_EQ(stat_of(s->cache).lease_deaths, ROUNDS);
    T_REQUIRE_EQ(stat_of(s->cache).leases_held, 0);
    /* A death in the very moment in which a timer ends a sleep counts as a backstop too; were
     * there no wakes, all of them would be, and the median above the limit. */
    T_REQUIRE(stat_of(s->cache).backstops <= ROUNDS / 3);
}

static void take_and_exit(void *arg)
{
    struct shared *s = arg;
    struct lk_lease lease;
    char text[64];
    T_REQUIRE_RC(ask(s->cache, "k", 0, 0, text, &lease), ENOENT);
}

/* A lease ends with its thread, however that ends; who comes later finds it free. */
T_TEST(a_lease_ends_with_its_process)
{
    struct shared *s = new_shared();
    for (int i = 0; i < 5; i++)
        T_REQUIRE_EQ(t_wait(t_fork(take_and_exit, s)), 0);
    T_REQUIRE_EQ(stat_of(s->cache).leases, 5);
    lk_cache_close(s->cache);
}

/* A full table of live leases: the next one computes without excluding others, and stores. */
T_TEST(a_full_table_of_leases_stops_nobody)
{
    lk_cache *c = new_cache();
    struct lk_lease leases[TABLE + 2];
    char key[16], text[64];
    for (int i = 0; i < TABLE + 2; i++) {
        (void)snprintf(key, sizeof key, "key %d", i);
        T_REQUIRE_RC(ask(c, key, 0, 0, text, &leases[i]), ENOENT);
    }
    T_REQUIRE_EQ(stat_of(c).leases_held, TABLE);
    for (int i = TABLE + 1; i >= 0; i--) {
        (void)snprintf(key, sizeof key, "key %d", i);
        if (i % 2 == 0 || i >= TABLE) {
            T_REQUIRE_RC(fill(c, key, key, &leases[i]), 0);
            T_REQUIRE_RC(ask(c, key, 0, 0, text, &leases[i]), 0);
            T_REQUIRE_STR_EQ(text, key);
        } else {
            lk_cache_release(c, &leases[i]);
        }
    }
    require_no_leases(c);
    lk_cache_close(c);
}

/* A waiter gets the value that somebody sets, not only the one that the holder fills in. */
static void wait_for_set(void *arg)
{
    struct shared *s = arg;
    struct lk_lease lease;
    char text[64];
    __atomic_add_fetch(&s->ready, 1, __ATOMIC_SEQ_CST);
    T_REQUIRE_RC(ask(s->cache, "k", 0, 20000ull * MS, text, &lease), 0);
    T_REQUIRE_STR_EQ(text, "set");
}

T_TEST(a_set_ends_the_waiting)
{
    struct shared *s = new_shared();
    pid_t holder = t_fork(hold_lease, s);
    wait_ready(s, 1);
    pid_t waiter = t_fork(wait_for_set, s);
    wait_ready(s, 2);
    sleep_ms(20);
    T_REQUIRE_RC(lk_cache_set(s->cache, "k", 1, "set", 3, 0), 0);
    T_REQUIRE_EQ(t_wait(waiter), 0);
    (void)kill(holder, SIGKILL);
    (void)t_wait(holder);
    T_REQUIRE_EQ(stat_of(s->cache).backstops, 0);
}
