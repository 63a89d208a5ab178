/* bench_robust.c - the robust reader-writer lock beside glibc's ordinary one: one thread, and two
 * readers on two CPUs.  64 threads are attached to the segment all the time, since a writer looks
 * at the slot of each. */
#include "bench_robust.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "latchkey/latchkey.h"
#include "latchkey/robust.h"

/* The main thread and the idle ones are 64; the two readers come and go. */
enum { ATTACHED = 64, IDLE = ATTACHED - 1, READERS = 2, PAIRS = 200 };

static struct {
    lk_seg *seg;
    lk_rrwlock *lock;
    pthread_rwlock_t glibc;
    pthread_t idle[IDLE];
    pthread_barrier_t attached, over;
} at;

static void *attach_and_wait(void *unused)
{
    if (lk_rrwlock_rdlock(at.lock) == 0)
        (void)lk_rrwlock_unlock(at.lock);
    (void)pthread_barrier_wait(&at.attached);
    (void)pthread_barrier_wait(&at.over);
    return unused;
}

bool bench_robust_begin(void)
{
    int rc = lk_seg_create_anonymous(&at.seg, sizeof(lk_rrwlock), ATTACHED + READERS);
    if (rc != 0)
        return cli_fail_rc("segment", rc), false;
    at.lock = lk_seg_memory(at.seg);
    (void)pthread_rwlock_init(&at.glibc, NULL);
    (void)pthread_barrier_init(&at.attached, NULL, IDLE + 1);
    (void)pthread_barrier_init(&at.over, NULL, IDLE + 1);
    for (unsigned i = 0; i < IDLE; i++) {
        rc = pthread_create(&at.idle[i], NULL, attach_and_wait, NULL);
        if (rc != 0)
            return cli_fail(CLI_CANNOT, "thread: %s", strerror(rc)), false;
    }
    (void)pthread_barrier_wait(&at.attached);
    return true;
}

void bench_robust_end(void)
{
    (void)pthread_barrier_wait(&at.over);
    for (unsigned i = 0; i < IDLE; i++)
        (void)pthread_join(at.idle[i], NULL);
    lk_seg_close(at.seg);
}

/* Lock and unlock PAIRS times.  Returns 0, or what the first failing call returned. */
#define LOCK_PAIRS(NAME, LOCK, UNLOCK)                                                             \
    static int NAME(void)                                                                          \
    {                                                                                              \
        int rc = 0;                                                                                \
        for (int i = 0; i < PAIRS && rc == 0; i++) {                                               \
            rc = LOCK;                                                                             \
            if (rc == 0)                                                                           \
                rc = UNLOCK;                                                                       \
        }                                                                                          \
        return rc;                                                                                 \
    }

LOCK_PAIRS(read_pairs, lk_rrwlock_rdlock(at.lock), lk_rrwlock_unlock(at.lock))
LOCK_PAIRS(write_pairs, lk_rrwlock_wrlock(at.lock), lk_rrwlock_unlock(at.lock))
LOCK_PAIRS(glibc_pairs, pthread_rwlock_rdlock(&at.glibc), pthread_rwlock_unlock(&at.glibc))

/* Nanoseconds a pair; NAN and a message if a call failed. */
static double window(int (*pairs)(void), uint64_t window_ns)
{
    uint64_t begun = cli_now_ns(), now, n = 0;
    do {
        int rc = pairs();
        if (rc != 0)
            return cli_fail_rc("lock or unlock", rc), NAN;
        n += PAIRS;
        now = cli_now_ns();
    } while (now - begun < window_ns);
    return (double)(now - begun) / (double)n;
}

struct reader {
    int cpu;
    _Atomic bool *go;
    uint64_t window_ns;
    double per_second;
};

static void *read_on(void *arg)
{
    struct reader *r = arg;
    bench_pin(r->cpu);
    (void)read_pairs(); /* attached, and warm; window() would see it fail */
    while (!atomic_load(r->go))
        ;
    r->per_second = 1e9 / window(read_pairs, r->window_ns);
    return NULL;
}

static bool readers(unsigned n, uint64_t window_ns, double *per_second)
{
    struct reader r[2];
    pthread_t t[2];
    _Atomic bool go = false;
    *per_second = 0;
    for (unsigned i = 0; i < n; i++) {
        r[i] = (struct reader){bench_cpu(i), &go, window_ns, 0};
        int rc = pthread_create(&t[i], NULL, read_on, &r[i]);
        if (rc != 0)
            return cli_fail(CLI_CANNOT, "thread: %s", strerror(rc)), false;
    }
    atomic_store(&go, true);
    for (unsigned i = 0; i < n; i++) {
        (void)pthread_join(t[i], NULL);
        *per_second += r[i].per_second;
    }
    return !isnan(*per_second);
}

bool bench_robust_round(struct bench_robust *r, uint64_t window_ns)
{
    double one, two;
    bench_pin(bench_cpu(0));
    bench_add(&r->read_ns, window(read_pairs, window_ns));
    bench_add(&r->glibc_ns, window(glibc_pairs, window_ns));
    bench_add(&r->write_ns, window(write_pairs, window_ns));
    bench_unpin();
    if (bench_cpus() < 2)
        return true;
    if (!readers(1, window_ns, &one) || !readers(2, window_ns, &two))
        return false;
    bench_add(&r->one_reader, one);
    bench_add(&r->two_readers, two);
    return true;
}

void bench_robust_judge(const struct bench_robust *r, struct bench_limits *limits)
{
    bench_limit_at_most(limits, "uncontended: reading, lk_rrwlock by glibc's default rwlock", 1,
                        "x", bench_median(&r->read_ns) / bench_median(&r->glibc_ns));
    bench_limit_at_most(limits, "uncontended: writing, lk_rrwlock, 64 threads attached", 200, "ns",
                        bench_median(&r->write_ns));
    if (r->one_reader.n > 0)
        bench_limit_at_least(limits, "lk_rrwlock: two readers on two CPUs by one", 1.8, "x",
                             bench_median(&r->two_readers) / bench_median(&r->one_reader));
}

void bench_robust_print(const struct bench_robust *r)
{
    printf("lk_rrwlock, 64 threads attached: read %.2f ns (glibc's default rwlock %.2f), write "
           "%.1f ns; one reader %.1f, two %.1f million a second\n",
           bench_median(&r->read_ns), bench_median(&r->glibc_ns), bench_median(&r->write_ns),
           bench_median(&r->one_reader) / 1e6, bench_median(&r->two_readers) / 1e6);
}

json_t *bench_robust_json(const struct bench_robust *r)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "read_ns", bench_median(&r->read_ns),
                     "glibc_read_ns", bench_median(&r->glibc_ns), "write_ns",
                     bench_median(&r->write_ns), "one_reader", bench_median(&r->one_reader),
                     "two_readers", bench_median(&r->two_readers));
}
