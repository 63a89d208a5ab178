/* The checker finds exactly the executions that the axioms allow, on 2,000 random small programs,
 * and on as many that also wait in loops: of these it finds those in which every loop ends.
 * Kills: every mutant of consistency.c, revisit.c, op.c, await.c and withdraw.c that changes what
 * is explored. */
#include <stdio.h>
#include <stdlib.h>

#include "brute.h"
#include "latchkey/check.h"

enum { PROGRAMS = 2000, LIMIT = 20000, WALKS = 100 };

static uint64_t state;

static int below(int n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)(state % (uint64_t)n);
}

static int pick(const int *from, int n)
{
    return from[below(n)];
}

static struct litmus_step random_step(int locations, bool loops)
{
    static const int loads[] = {__ATOMIC_RELAXED, __ATOMIC_ACQUIRE, __ATOMIC_SEQ_CST};
    static const int stores[] = {__ATOMIC_RELAXED, __ATOMIC_RELEASE, __ATOMIC_SEQ_CST};
    static const int rmws[] = {__ATOMIC_RELAXED, __ATOMIC_ACQUIRE, __ATOMIC_RELEASE,
                               __ATOMIC_ACQ_REL, __ATOMIC_SEQ_CST};
    static const int fences[] = {__ATOMIC_ACQUIRE, __ATOMIC_RELEASE, __ATOMIC_ACQ_REL,
                                 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST};
    static const enum litmus_op ops[] = {L_STORE, L_STORE, L_STORE, L_LOAD,  L_LOAD, L_LOAD,
                                         L_ADD,   L_XCHG,  L_CAS,   L_FENCE, L_FENCE};
    static const enum litmus_op waits[] = {L_AWAIT, L_SPIN_XCHG, L_SPIN_CAS};
    bool wait = loops && below(3) == 0;
    struct litmus_step s = {.op = wait ? waits[below(3)] : ops[below(sizeof ops / sizeof ops[0])],
                            .location = below(locations),
                            .value = below(3)};
    switch (s.op) {
    case L_STORE:
        s.order = pick(stores, 3);
        s.from_kept = below(4) == 0;
        break;
    case L_LOAD:
    case L_AWAIT:
        s.order = pick(loads, 3);
        s.keep = s.op == L_LOAD && below(2);
        break;
    case L_FENCE:
        s.order = pick(fences, 5);
        break;
    default:
        s.order = pick(rmws, 5);
        s.expected = below(2);
        break;
    }
    return s;
}

static void random_program(struct litmus *p, bool loops)
{
    *p = (struct litmus){.threads = 2 + below(2)};
    int locations = 1 + below(3);
    for (int t = 0; t < p->threads; t++) {
        p->length[t] = 1 + below(p->threads == 2 ? 5 : 3);
        for (int i = 0; i < p->length[t]; i++)
            p->step[t][i] = random_step(locations, loops);
    }
}

static void show(const struct litmus *p)
{
    static const char *const ops[] = {"W", "R",       "A",       "X",      "C",
                                      "F", "await R", "until X", "until C"};
    static const char *const orders[] = {"rlx", "con", "acq", "rel", "ar", "sc"};
    for (int t = 0; t < p->threads; t++)
        for (int i = 0; i < p->length[t]; i++) {
            const struct litmus_step *s = &p->step[t][i];
            printf("%s%s%s",
                   i == 0 && t > 0 ? " | "
                   : i > 0         ? " "
                                   : "",
                   s->keep ? "a=" : "", ops[s->op]);
            if (s->op != L_FENCE)
                printf("%c", "xyzabc"[s->location]);
            if (s->op == L_CAS || s->op == L_SPIN_CAS)
                printf("%d>", s->expected);
            if (s->op == L_STORE && s->from_kept)
                printf("a");
            else if (s->op != L_FENCE && s->op != L_LOAD)
                printf("%d", s->value);
            printf(".%s", orders[s->order]);
        }
    printf("\n");
}

/* Without walks the checker knows no loops: it must then find the same, by other ways. */
static bool same(const struct litmus *p, enum lk_check_model model, bool loops, uint32_t walks,
                 unsigned long expected)
{
    struct lk_check_options opt = {
        .model = model, .quiet = true, .walks = walks, .no_liveness = loops};
    struct lk_check_report rep;
    struct litmus copy = *p;
    int rc = lk_check_run(litmus_run, &copy, &opt, &rep);
    if (rc == 0 && rep.complete == expected && (loops || rep.blocked == 0) && rep.wasted == 0)
        return true;
    printf("FAIL %s, %u walks: %lu executions, brute force finds %lu: ",
           model == LK_CHECK_SC ? "SC" : "RC11", walks, (unsigned long)rep.complete, expected);
    show(p);
    return false;
}

static bool right(const struct litmus *p, bool loops, const struct brute_counts *counts)
{
    bool ok =
        same(p, LK_CHECK_RC11, loops, 0, counts->rc11) & same(p, LK_CHECK_SC, loops, 0, counts->sc);
    if (loops)
        ok &= same(p, LK_CHECK_RC11, true, WALKS, counts->rc11) &
              same(p, LK_CHECK_SC, true, WALKS, counts->sc);
    return ok;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    unsigned long executions = 0;
    state = argc > 1 ? strtoull(argv[1], NULL, 0) : 20261122;
    while (passed + failed < 2 * PROGRAMS) {
        struct litmus p;
        struct brute_counts counts;
        bool loops = passed + failed >= PROGRAMS;
        random_program(&p, loops);
        if (!brute_count(&p, LIMIT, &counts) || (loops && counts.rc11 == 0))
            continue;
        executions += counts.rc11;
        *(right(&p, loops, &counts) ? &passed : &failed) += 1;
    }
    printf("%lu executions compared\n%d passed, %d failed\n", executions, passed, failed);
    return failed != 0;
}
