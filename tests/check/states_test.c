/* The search by states comes to the same as the search by executions under SC: on 2,000 random
 * small programs without loops and 2,000 with, both find the same outcomes (what the threads have
 * read, what is left in memory) and both or neither an execution without end.  And known numbers.
 * Kills: every mutant of states.c that takes two states for one, or leaves a step out. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "latchkey/check.h"
#include "litmus.h"
#include "locks_programs.h"

enum { PROGRAMS = 2000, OUTCOMES = 4096 };

/* Apart from the program's data, which is put back before each run. */
struct outcomes {
    unsigned n;
    uint64_t hash[OUTCOMES];
};
static struct outcomes *outcomes;

static void note(const int *kept, const int *location)
{
    uint64_t h = 1;
    for (int i = 0; i < LITMUS_THREADS; i++)
        h = h * 1000003 + (uint64_t)kept[i];
    for (int i = 0; i < LITMUS_LOCATIONS; i++)
        h = h * 1000003 + (uint64_t)location[i];
    for (unsigned i = 0; i < outcomes->n; i++)
        if (outcomes->hash[i] == h)
            return;
    assert(outcomes->n < OUTCOMES);
    outcomes->hash[outcomes->n++] = h;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Every outcome, sorted; the result of lk_check_run(). */
static int explore(const struct litmus *p, bool states, struct outcomes *found)
{
    struct lk_check_options opt = {
        .model = LK_CHECK_SC, .states = states, .quiet = true, .keep_going = true};
    struct lk_check_report rep;
    struct litmus copy = *p;
    outcomes->n = 0;
    int rc = lk_check_run(litmus_run, &copy, &opt, &rep);
    qsort(outcomes->hash, outcomes->n, sizeof outcomes->hash[0], by_number);
    *found = *outcomes;
    return rc;
}

static bool same(const struct litmus *p)
{
    static struct outcomes executions, states;
    int rc = explore(p, false, &executions), rc2 = explore(p, true, &states);
    if (rc == rc2 && rc != 3 && executions.n == states.n &&
        memcmp(executions.hash, states.hash, states.n * sizeof states.hash[0]) == 0)
        return true;
    printf("FAIL executions: result %d, %u outcomes; states: result %d, %u outcomes: ", rc,
           executions.n, rc2, states.n);
    litmus_show(p);
    return false;
}

/* Three threads add to x twice each, the first thread joins them and looks: 3^3 states, and as many
 * steps as the cube has edges, and the look.  What nobody writes is looked at on the way. */
static bool counts(void)
{
    struct litmus p;
    struct lk_check_options opt = {.states = true, .quiet = true};
    struct lk_check_report rep;
    litmus_outcome = note;
    outcomes->n = 0;
    if (!litmus_parse(&p, "Ax1.rlx Ax1.rlx | Ax1.rlx Ax1.rlx | Ax1.rlx Ax1.rlx"))
        return false;
    int rc = lk_check_run(litmus_run, &p, &opt, &rep);
    printf("%lu states, %lu steps\n", (unsigned long)rep.states, (unsigned long)rep.steps);
    return rc == 0 && rep.states == 27 && rep.steps == 55 && outcomes->n == 1;
}

/* Locks that spin for ever in executions without end, all of them unfair to somebody. */
static bool locks(enum lock_kind kind)
{
    struct lock_program p = {.kind = kind, .threads = 4};
    struct lk_check_options opt = {.states = true, .quiet = true};
    struct lk_check_report rep;
    litmus_outcome = NULL;
    int rc = lk_check_run(locks_run, &p, &opt, &rep);
    printf("lock %d: %lu states, %lu steps\n", kind, (unsigned long)rep.states,
           (unsigned long)rep.steps);
    return rc == 0 && rep.states > 0;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    outcomes =
        mmap(NULL, sizeof *outcomes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(outcomes != MAP_FAILED);
    litmus_seed(argc > 1 ? strtoull(argv[1], NULL, 0) : 20261122);
    *(counts() ? &passed : &failed) += 1;
    for (int kind = TAS_LOCK; kind <= PTHREAD_LOCK; kind++)
        *(locks((enum lock_kind)kind) ? &passed : &failed) += 1;
    litmus_outcome = note;
    for (int i = 0; i < 2 * PROGRAMS; i++) {
        struct litmus p;
        litmus_random(&p, i >= PROGRAMS);
        *(same(&p) ? &passed : &failed) += 1;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
