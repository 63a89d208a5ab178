/* bench_bare.c - what two CPUs do at best: how long a cache line takes from one to the other, and a
 * table in shared memory whose set is only a lock word and a copy.  Where the host puts two virtual
 * CPUs far apart, two of them store less into it than one alone. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "bench_locks_run.h"
#include "cli.h"

enum { LINE = 64, PASSES = 100000 };

/* ---- a line from one CPU to the other ------------------------------------------------------ */

void *bench_shared_bytes(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Wait for `turn` to be mine, make it the other's. */
static void pass(_Atomic unsigned *turn, unsigned mine)
{
    for (unsigned i = 0; i < PASSES && !cli_stop; i++) {
        while (atomic_load_explicit(turn, memory_order_acquire) != mine && !cli_stop)
            ;
        atomic_store_explicit(turn, 1 - mine, memory_order_release);
    }
}

double bench_line_ns(void)
{
    if (bench_cpus() < 2)
        return NAN;
    _Atomic unsigned *turn = bench_shared_bytes(LINE);
    if (turn == NULL)
        return NAN;
    pid_t pid = cli_fork();
    if (pid == 0) {
        bench_pin(bench_cpu(1));
        pass(turn, 1);
        _exit(0);
    }
    double ns = NAN;
    if (pid > 0) {
        bench_pin(bench_cpu(0));
        uint64_t begin = cli_now_ns();
        pass(turn, 0);
        ns = (double)(cli_now_ns() - begin) / (2.0 * PASSES);
        bench_unpin();
        kill(pid, SIGKILL); /* its last pass may wait for us no more */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    munmap((void *)turn, LINE);
    return ns;
}

/* ---- the bare table ------------------------------------------------------------------------ */

static unsigned rounds; /* of lock_work() behind each store */

void bench_bare_work(double ns)
{
    rounds = ns > 0 ? (unsigned)(ns / lock_run_round_ns() + 0.5) : 0;
}

void bench_bare_own_work(void)
{
    lock_work(rounds);
}

struct bare {
    size_t stride, bytes;
    char *entries; /* each a line with the lock word, then the value */
};

static void bare_close(struct bench_peer *p)
{
    struct bare *b = p->state;
    if (b->entries != NULL)
        munmap(b->entries, b->bytes);
    free(b);
    p->state = NULL;
}

static int bare_open(struct bench_peer *p, const struct bench_load *load)
{
    struct bare *b = calloc(1, sizeof *b);
    if (b == NULL)
        return bench_peer_failed(p, "no memory");
    b->stride = LINE + (load->value_size + LINE - 1) / LINE * LINE;
    b->bytes = load->entries * b->stride;
    b->entries = bench_shared_bytes(b->bytes);
    p->state = b;
    if (b->entries == NULL) {
        bare_close(p);
        return bench_peer_failed(p, "no memory");
    }
    return 0;
}

static char *entry_lock(const struct bare *b, const struct bench_load *load, size_t request)
{
    char *entry = b->entries + load->ids[request & (BENCH_REQUESTS - 1)] * b->stride;
    _Atomic unsigned *lock = (_Atomic unsigned *)(void *)entry;
    while (atomic_exchange_explicit(lock, 1, memory_order_acquire) != 0)
        while (atomic_load_explicit(lock, memory_order_relaxed) != 0)
            ;
    return entry;
}

static void entry_unlock(char *entry)
{
    atomic_store_explicit((_Atomic unsigned *)(void *)entry, 0, memory_order_release);
}

static size_t bare_set(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n)
{
    const struct bare *b = p->state;
    for (size_t i = 0; i < n; i++) {
        char *entry = entry_lock(b, load, first + i);
        memcpy(entry + LINE, load->value, load->value_size);
        entry_unlock(entry);
        bench_bare_own_work();
    }
    return n;
}

/* Only to map what will be stored to: bench_scaling_run() asks for it. */
static size_t bare_get(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n,
                       uint64_t *sum)
{
    const struct bare *b = p->state;
    for (size_t i = 0; i < n; i++) {
        char *entry = entry_lock(b, load, first + i);
        uint64_t mark;
        memcpy(&mark, entry + LINE, sizeof mark);
        *sum += mark;
        entry_unlock(entry);
    }
    return n;
}

const struct bench_peer bench_peer_bare = {
    .name = "bare",
    .how = "shared memory, a lock word and a copy in place, no index, no eviction",
    .open = bare_open,
    .get = bare_get,
    .set = bare_set,
    .close = bare_close,
};
