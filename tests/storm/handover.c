/* handover.c - see handover.h. */
#include "handover.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

enum { ROUNDS = 3, P99_LIMIT_NS = 1000000 };

struct handover_stage {
    _Atomic uint64_t got_ns;
};

/* Before everything else that runs here, where that is permitted: the time until the scheduler gets
 * to a process is not the lock's.  So nobody here may spin. */
static void go_first(void)
{
    const struct sched_param first = {.sched_priority = 1};
    (void)sched_setscheduler(0, SCHED_FIFO, &first);
}

void handover_begin(struct handover *h)
{
    go_first();
    T_REQUIRE_EQ(pipe(h->said), 0);
    h->stage =
        mmap(NULL, sizeof *h->stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(h->stage != MAP_FAILED);
}

void handover_say(const struct handover *h)
{
    if (write(h->said[1], "", 1) != 1)
        _exit(1);
}

static void hear(const struct handover *h)
{
    char byte;
    T_REQUIRE_EQ(read(h->said[0], &byte, 1), 1);
}

void handover_got(const struct handover *h, uint64_t now_ns)
{
    atomic_store(&h->stage->got_ns, now_ns);
    _exit(0);
}

static void hold(const struct handover *h)
{
    h->lock(h->arg);
    handover_say(h);
    for (;;)
        (void)pause();
}

/* Asleep on the lock, after it said that it is about to, or dead. */
static void await_sleep(pid_t pid)
{
    const struct timespec a_little = {0, 20000};
    char state;
    while ((state = t_state(pid)) != 'S') {
        T_REQUIRE(state != 0);
        (void)nanosleep(&a_little, NULL);
    }
}

/* One death: the span from the kill to the moment that the sleeper has the lock. */
static uint64_t one_death(const struct handover *h)
{
    atomic_store(&h->stage->got_ns, 0);
    pid_t holder = fork();
    T_REQUIRE(holder >= 0);
    if (holder == 0)
        hold(h);
    hear(h);
    pid_t next = fork();
    T_REQUIRE(next >= 0);
    if (next == 0)
        h->take_over(h->arg);
    hear(h);
    await_sleep(next);
    uint64_t killed = t_now_ns();
    T_REQUIRE_EQ(kill(holder, SIGKILL), 0);
    T_REQUIRE_EQ(t_wait(next), 0);
    T_REQUIRE_EQ(t_wait(holder), -SIGKILL);
    uint64_t got = atomic_load(&h->stage->got_ns);
    T_REQUIRE(got > killed);
    return got - killed;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(const struct handover *h, uint64_t *span, size_t n)
{
    for (size_t i = 0; i < n; i++)
        span[i] = one_death(h);
    qsort(span, n, sizeof *span, by_size);
}

bool handover_is_quick(const struct handover *h, const char *what, int deaths)
{
    size_t n = (size_t)deaths;
    uint64_t *span = malloc(n * sizeof *span), p99 = UINT64_MAX;
    T_REQUIRE(span != NULL);
    for (int round = 0; round < ROUNDS && p99 > P99_LIMIT_NS; round++) {
        measure(h, span, n);
        p99 = span[n * 99 / 100];
        T_LOG("%s, %d deaths: p50 %.0f us, p99 %.0f us, longest %.0f us", what, deaths,
              (double)span[n / 2] * 1e-3, (double)p99 * 1e-3, (double)span[n - 1] * 1e-3);
    }
    free(span);
    return p99 <= P99_LIMIT_NS;
}
