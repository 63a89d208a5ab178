/* What the checker promises beside its counts: no blocked executions where locks spin or wait, none
 * wasted, memory that does not grow with the run.  Rates are printed, not judged: the machine may
 * have other work.
 * Kills: mutants of src/check/await.c and withdraw.c that put off or take back nothing, and of
 * snapshot.c that keep graphs. */
#include <stdio.h>

#include "counts_programs.h"
#include "latchkey/check.h"
#include "locks_programs.h"

static int passed, failed;

static void expect(const char *what, int right)
{
    if (!right)
        printf("FAIL %s\n", what);
    *(right ? &passed : &failed) += 1;
}

static unsigned long factorial(int n)
{
    return n <= 1 ? 1 : (unsigned long)n * factorial(n - 1);
}

/* One execution for each order in which the threads come by the lock; TTAS also has each order of
 * looks at the free lock. */
static void lock_is_cheap(const char *name, enum lock_kind kind, int threads)
{
    struct lock_program p = {.kind = kind, .threads = threads};
    struct lk_check_options opt = {.quiet = true, .walks = 200};
    struct lk_check_report rep;
    unsigned long orders = factorial(threads);
    int rc = lk_check_run(locks_run, &p, &opt, &rep);
    printf("%s, %d threads: %lu complete, %lu blocked, %lu wasted, %.0f a second\n", name, threads,
           (unsigned long)rep.complete, (unsigned long)rep.blocked, (unsigned long)rep.wasted,
           rep.executions_per_second);
    expect("no error", rc == 0);
    expect("one execution for each order",
           rep.complete == (kind == TTAS_LOCK ? orders * orders : orders));
    expect("nobody waits in vain", rep.blocked == 0);
    expect("nothing wasted", rep.wasted == 0);
}

static void memory_is_constant(void)
{
    struct lk_check_options opt = {.quiet = true, .max_executions = 50000};
    struct lk_check_report early, whole;
    (void)lk_check_run(fib_run, NULL, &opt, &early);
    opt.max_executions = 0;
    (void)lk_check_run(fib_run, NULL, &opt, &whole);
    printf("fib(5): %lu KiB after %lu executions, %lu KiB after %lu\n",
           (unsigned long)early.peak_rss_bytes >> 10, (unsigned long)early.complete,
           (unsigned long)whole.peak_rss_bytes >> 10, (unsigned long)whole.complete);
    expect("memory does not grow with the run",
           whole.peak_rss_bytes <= early.peak_rss_bytes + (1u << 20));
    (void)lk_check_run(lastzero_run, (void *)15, &opt, &whole);
    printf("lastzero(15): %lu KiB\n", (unsigned long)whole.peak_rss_bytes >> 10);
    expect("lastzero(15) in 200 MiB", whole.peak_rss_bytes <= 200u << 20);
}

int main(void)
{
    lock_is_cheap("test and set", TAS_LOCK, 3);
    lock_is_cheap("test and set", TAS_LOCK, 5);
    lock_is_cheap("compare and swap", CAS_LOCK, 5);
    lock_is_cheap("test, test and set", TTAS_LOCK, 3);
    lock_is_cheap("test, test and set", TTAS_LOCK, 4);
    lock_is_cheap("test, test and set", TTAS_LOCK, 5);
    lock_is_cheap("ticket", TICKET_LOCK, 3);
    lock_is_cheap("ticket", TICKET_LOCK, 5);
    lock_is_cheap("pthread mutex", PTHREAD_LOCK, 5);
    memory_is_constant();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
