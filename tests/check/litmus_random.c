/* litmus_random.c - small programs made at random, and how they are written down. */
#include <stdio.h>

#include "litmus.h"

static uint64_t state = 1;

void litmus_seed(uint64_t seed)
{
    state = seed;
}

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

void litmus_random(struct litmus *p, bool loops)
{
    *p = (struct litmus){.threads = 2 + below(2)};
    int locations = 1 + below(3);
    for (int t = 0; t < p->threads; t++) {
        p->length[t] = 1 + below(p->threads == 2 ? 5 : 3);
        for (int i = 0; i < p->length[t]; i++)
            p->step[t][i] = random_step(locations, loops);
    }
}

void litmus_show(const struct litmus *p)
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
