/* readers_test.c - a writer that is stopped or dead inside its section costs readers nothing, and
 * other writers what they agreed to wait.
 * Runs in: dev
 * Runs alone */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/layout.h"
#include "cache/section.h"
#include "latchkey/latchkey.h"
#include "life/presence.h"
#include "singlestep.h"
#include "test.h"

enum { ENTRIES = 1000, ROUNDS = 15, ROUND_NS = 10000000, DEATHS = 40, REPAIR_ENTRIES = 100000 };

static lk_cache *furnished(uint64_t lock_timeout_ns)
{
    const struct lk_cache_options options = {
        .capacity_bytes = 1 << 20, .shards = 1, .threads = 8, .lock_timeout_ns = lock_timeout_ns};
    lk_cache *c;
    T_REQUIRE_RC(lk_cache_open_anonymous(&c, &options), 0);
    for (uint32_t i = 0; i < ENTRIES; i++)
        T_REQUIRE_RC(lk_cache_set(c, &i, sizeof i, "the value of an entry", 21, LK_TTL_NEVER), 0);
    return c;
}

static void set_one(void *arg)
{
    const uint32_t key = 7;
    T_REQUIRE_RC(lk_cache_set(arg, &key, sizeof key, "the value of an entry", 21, LK_TTL_NEVER), 0);
}

static const uint32_t *lock_of(const lk_cache *c)
{
    struct lki_shard shard = lki_shard_at(c, 0);
    return &lki_head(&shard)->lock;
}

static bool is_locked(const uint32_t *lock)
{
    return (__atomic_load_n(lock, __ATOMIC_ACQUIRE) & LKI_HOLDER_ANY) != 0;
}

/* A child that has just locked the shard. */
static struct stepped start_locked(lk_cache *c)
{
    const struct role role = {NULL, set_one, c};
    struct stepped s = step_begin(&role);
    while (!is_locked(lock_of(c)))
        T_REQUIRE(step_once(&s));
    return s;
}

/* Instructions of its section. */
static unsigned long section_length(lk_cache *c)
{
    struct stepped s = start_locked(c);
    unsigned long begun = s.steps;
    while (is_locked(lock_of(c)))
        T_REQUIRE(step_once(&s));
    unsigned long length = s.steps - begun;
    step_finish(&s);
    return length;
}

/* A child in the middle of its section: so many instructions after it got the lock. */
static struct stepped start_inside(lk_cache *c, unsigned long instructions)
{
    struct stepped s = start_locked(c);
    T_REQUIRE(step_many(&s, instructions));
    T_REQUIRE(is_locked(lock_of(c)));
    return s;
}

/* The thread's processor time: what others do on this machine does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* How often the thread has slept. */
static long sleeps(void)
{
    struct rusage usage;
    T_REQUIRE_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_nvcsw;
}

/* Gets of all keys for a while, each of which must hit, and none may sleep.  Returns gets per
 * second of processor time. */
static double rate(lk_cache *c)
{
    uint64_t begun_ns = cpu_ns(), now_ns;
    long slept = sleeps();
    unsigned long gets = 0;
    do {
        for (uint32_t i = 0; i < ENTRIES; i++) {
            char buf[32];
            size_t size;
            if (lk_cache_get(c, &i, sizeof i, buf, sizeof buf, &size) != 0 || size != 21)
                T_FAIL("key %u: no hit", i);
        }
        gets += ENTRIES;
        now_ns = cpu_ns();
    } while (now_ns - begun_ns < ROUND_NS);
    T_REQUIRE_EQ(sleeps(), slept);
    return (double)gets * 1e9 / (double)(now_ns - begun_ns);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median over rounds of rate(disturbed) / rate(free), measured by turns. */
static double compare(lk_cache *undisturbed, lk_cache *disturbed)
{
    double ratios[ROUNDS];
    (void)rate(undisturbed);
    (void)rate(disturbed);
    for (int i = 0; i < ROUNDS; i++) {
        double before = rate(undisturbed), with = rate(disturbed), after = rate(undisturbed);
        ratios[i] = with / ((before + after) / 2);
    }
    qsort(ratios, ROUNDS, sizeof ratios[0], by_size);
    return ratios[ROUNDS / 2];
}

/* Several places of the section, from its beginning nearly to its end. */
enum { PLACES = 5 };

static void measure(const char *what, bool dead)
{
    lk_cache *undisturbed = furnished(0);
    T_TIMEOUT(90);
    unsigned long length = section_length(undisturbed);
    for (unsigned i = 0; i < PLACES; i++) {
        unsigned long place = length * i / PLACES;
        lk_cache *disturbed = furnished(0);
        struct stepped s = start_inside(disturbed, place);
        if (dead)
            step_kill(&s);
        else
            step_leave_stopped(&s);
        double ratio = compare(undisturbed, disturbed);
        T_LOG("writer %s %lu of %lu instructions after it locked: gets at %.2f of their rate", what,
              place, length, ratio);
        T_REQUIRE(ratio >= 0.8);
        if (!dead) {
            (void)kill(s.pid, SIGKILL);
            T_REQUIRE_EQ(t_wait(s.pid), -SIGKILL);
        }
        T_REQUIRE_RC(lk_cache_verify(disturbed, NULL, NULL), 0);
        lk_cache_close(disturbed);
    }
    lk_cache_close(undisturbed);
}

T_TEST(gets_go_on_at_full_rate_beside_a_stopped_writer)
{
    measure("stopped", false);
}

T_TEST(gets_go_on_at_full_rate_beside_a_dead_writer)
{
    measure("killed", true);
}

/* Who did agree to wait gets ETIMEDOUT, and the change is not made; when the stopped one goes on,
 * both changes are. */
T_TEST(writers_behind_a_stopped_one_wait_as_long_as_they_said)
{
    const uint64_t timeout_ns = 50000000;
    lk_cache *c = furnished(timeout_ns);
    struct stepped s = start_inside(c, section_length(c) / 2);
    char buf[32];
    size_t size;
    step_leave_stopped(&s);
    uint64_t begun_ns = t_now_ns();
    T_REQUIRE_RC(lk_cache_set(c, "other", 5, "x", 1, LK_TTL_NEVER), ETIMEDOUT);
    T_REQUIRE(t_now_ns() - begun_ns >= timeout_ns);
    T_REQUIRE_RC(lk_cache_delete(c, "other", 5), ETIMEDOUT);
    T_REQUIRE_RC(lk_cache_flush(c), ETIMEDOUT);
    T_REQUIRE_RC(lk_cache_get(c, "other", 5, buf, sizeof buf, &size), ENOENT);
    T_REQUIRE_EQ(kill(s.pid, SIGCONT), 0);
    T_REQUIRE_EQ(t_wait(s.pid), 0);
    T_REQUIRE_RC(lk_cache_set(c, "other", 5, "x", 1, LK_TTL_NEVER), 0);
    T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
    lk_cache_close(c);
}

/* The next writer goes on, at the first call, wherever the last one died. */
T_TEST(the_next_writer_goes_on_after_a_death)
{
    lk_cache *c = furnished(2000000000u);
    struct lk_cache_stat stat;
    uint64_t longest_ns = 0;
    unsigned long length = section_length(c);
    for (unsigned i = 0; i < DEATHS; i++) {
        struct stepped s = start_inside(c, length * i / (DEATHS + 2));
        step_kill(&s);
        uint64_t begun_ns = t_now_ns();
        T_REQUIRE_RC(lk_cache_set(c, "next", 4, &i, sizeof i, LK_TTL_NEVER), 0);
        uint64_t took_ns = t_now_ns() - begun_ns;
        longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
        T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
    }
    T_REQUIRE_RC(lk_cache_stat(c, &stat), 0);
    T_REQUIRE_EQ(stat.deaths, DEATHS);
    T_REQUIRE_EQ(stat.repairs, DEATHS);
    T_REQUIRE_EQ(stat.entries, ENTRIES + 1);
    T_LOG("%u deaths; the longest set after one, repair of %u entries included: %.3f ms", DEATHS,
          ENTRIES, (double)longest_ns / 1e6);
    lk_cache_close(c);
}

T_TEST(repair_of_one_shard_is_timed)
{
    const struct lk_cache_options options = {
        .capacity_bytes = (uint64_t)REPAIR_ENTRIES * 144, .shards = 1, .threads = 8};
    char value[100] = "";
    double times_ms[ROUNDS];
    lk_cache *c;
    unsigned repaired;
    T_REQUIRE_RC(lk_cache_open_anonymous(&c, &options), 0);
    for (uint32_t i = 0; i < REPAIR_ENTRIES; i++)
        T_REQUIRE_RC(lk_cache_set(c, &i, sizeof i, value, sizeof value, LK_TTL_NEVER), 0);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t begun_ns = t_now_ns();
        T_REQUIRE_RC(lk_cache_repair(c, true, &repaired), 0);
        times_ms[i] = (double)(t_now_ns() - begun_ns) / 1e6;
        T_REQUIRE_EQ(repaired, 1);
    }
    qsort(times_ms, ROUNDS, sizeof times_ms[0], by_size);
    struct lk_cache_stat stat;
    T_REQUIRE_RC(lk_cache_stat(c, &stat), 0);
    T_REQUIRE_EQ(stat.entries, REPAIR_ENTRIES);
    T_LOG("repair of one shard of %u entries: %.2f ms median, %.2f ms fastest", REPAIR_ENTRIES,
          times_ms[ROUNDS / 2], times_ms[0]);
    lk_cache_close(c);
}
