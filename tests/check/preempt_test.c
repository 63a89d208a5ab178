/* A bound on preemptions leaves out exactly the executions that need more: compared with every
 * interleaving of random small programs, each counted with its changes of threads.
 * Kills: mutants of preempt.c that count otherwise, and a search that cuts off too early. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "latchkey/check.h"
#include "litmus.h"
#include "locks_programs.h"

enum { PROGRAMS = 300, BOUNDS = 4, STEPS = 12, SEEN = 20000 };

static uint64_t state = 20261122;

static int below(int n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)(state % (uint64_t)n);
}

static void random_program(struct litmus *p)
{
    static const enum litmus_op ops[] = {L_STORE, L_STORE, L_LOAD, L_LOAD, L_ADD, L_XCHG, L_CAS};
    *p = (struct litmus){.threads = 2 + below(2)};
    int locations = 1 + below(2);
    for (int t = 0; t < p->threads; t++) {
        p->length[t] = 1 + below(p->threads == 2 ? 5 : 3);
        for (int i = 0; i < p->length[t]; i++)
            p->step[t][i] = (struct litmus_step){.op = ops[below(7)],
                                                 .location = below(locations),
                                                 .order = __ATOMIC_SEQ_CST,
                                                 .value = below(3),
                                                 .expected = below(2)};
    }
}

/* ---- every interleaving -----------------------------------------------------------------------
 */

/* What tells executions apart: who read from whom, and in which order each location was written. */
struct execution {
    unsigned char from[LITMUS_THREADS][LITMUS_OPS];
    unsigned char order[LITMUS_LOCATIONS][STEPS], writes[LITMUS_LOCATIONS];
};

struct interleaver {
    const struct litmus *p;
    struct execution now, *seen;
    int cost[SEEN], nseen;
    int at[LITMUS_THREADS], value[LITMUS_LOCATIONS];
};

static void note(struct interleaver *s, int cost)
{
    for (int i = 0; i < s->nseen; i++)
        if (memcmp(&s->seen[i], &s->now, sizeof s->now) == 0) {
            if (cost < s->cost[i])
                s->cost[i] = cost;
            return;
        }
    if (s->nseen == SEEN)
        abort();
    s->cost[s->nseen] = cost;
    s->seen[s->nseen++] = s->now;
}

static void write_value(struct interleaver *s, int t, const struct litmus_step *step, int value)
{
    int l = step->location;
    s->value[l] = value;
    s->now.order[l][s->now.writes[l]++] = (unsigned char)(1 + t * LITMUS_OPS + s->at[t]);
}

static void step_of(struct interleaver *s, int t)
{
    const struct litmus_step *step = &s->p->step[t][s->at[t]];
    int l = step->location, old = s->value[l], n = s->now.writes[l];
    if (step->op != L_STORE)
        s->now.from[t][s->at[t]] = n == 0 ? 0 : s->now.order[l][n - 1];
    if (step->op == L_ADD)
        write_value(s, t, step, old + step->value);
    else if (step->op == L_STORE || step->op == L_XCHG ||
             (step->op == L_CAS && old == step->expected))
        write_value(s, t, step, step->value);
    s->at[t]++;
}

static void interleave(struct interleaver *s, int last, int cost)
{
    bool over = true;
    for (int t = 0; t < s->p->threads; t++) {
        struct interleaver *before;
        if (s->at[t] == s->p->length[t])
            continue;
        over = false;
        before = malloc(sizeof *before);
        if (before == NULL)
            abort();
        before->now = s->now;
        memcpy(before->at, s->at, sizeof s->at);
        memcpy(before->value, s->value, sizeof s->value);
        step_of(s, t);
        bool preempts = last >= 0 && last != t && before->at[last] < s->p->length[last];
        interleave(s, t, cost + preempts);
        s->now = before->now;
        memcpy(s->at, before->at, sizeof s->at);
        memcpy(s->value, before->value, sizeof s->value);
        free(before);
    }
    if (over)
        note(s, cost);
}

/* ---- comparison -------------------------------------------------------------------------------
 */

static bool same(const struct litmus *p, const struct interleaver *s, uint32_t bound)
{
    struct lk_check_options opt = {
        .model = LK_CHECK_SC, .quiet = true, .bound_preemptions = true, .preemptions = bound};
    struct lk_check_report rep;
    struct litmus copy = *p;
    uint64_t expected = 0;
    for (int i = 0; i < s->nseen; i++)
        expected += s->cost[i] <= (int)bound;
    bool all = expected == (uint64_t)s->nseen;
    int rc = lk_check_run(litmus_run, &copy, &opt, &rep);
    if (rep.complete == expected && rc == (all ? 0 : 3) && rep.bounded == !all &&
        (rep.preempted == 0) == all && rep.wasted == 0)
        return true;
    printf(
        "FAIL %d threads, at most %u preemptions: %lu executions (result %d), interleavings show "
        "%lu of %d\n",
        p->threads, bound, (unsigned long)rep.complete, rc, (unsigned long)expected, s->nseen);
    return false;
}

static bool agree(struct interleaver *s, const struct litmus *p)
{
    bool right = true;
    s->p = p;
    memset(&s->now, 0, sizeof s->now);
    memset(s->at, 0, sizeof s->at);
    memset(s->value, 0, sizeof s->value);
    s->nseen = 0;
    interleave(s, -1, 0);
    for (uint32_t bound = 0; bound < BOUNDS; bound++)
        right &= same(p, s, bound);
    return right;
}

/* A thread that waits for a lock is not preempted: each order of holders needs no preemption. */
static bool waiting_is_free(enum lock_kind kind)
{
    struct lock_program p = {.kind = kind, .threads = 3};
    struct lk_check_options opt = {.quiet = true, .walks = 200, .bound_preemptions = true};
    struct lk_check_report rep;
    (void)lk_check_run(locks_run, &p, &opt, &rep);
    printf("lock %d, no preemption: %lu complete, %lu left out\n", (int)kind,
           (unsigned long)rep.complete, (unsigned long)rep.preempted);
    return rep.complete == 6;
}

int main(void)
{
    static struct interleaver s;
    int passed = 0, failed = 0;
    s.seen = malloc(SEEN * sizeof *s.seen);
    if (s.seen == NULL)
        return 1;
    for (int i = 0; i < PROGRAMS; i++) {
        struct litmus p;
        random_program(&p);
        *(agree(&s, &p) ? &passed : &failed) += 1;
    }
    *(waiting_is_free(PTHREAD_LOCK) ? &passed : &failed) += 1;
    *(waiting_is_free(TAS_LOCK) ? &passed : &failed) += 1;
    free(s.seen);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
