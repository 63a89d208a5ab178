/* litmus_run.c - the interpreter; this file is compiled with -fsanitize=thread. */
#include <pthread.h>

#include "litmus.h"

void (*litmus_outcome)(const int *kept, const int *location);
static int location[LITMUS_LOCATIONS], last_kept[LITMUS_THREADS];
static const struct litmus *program;

/* The compilers turn an order that is no constant into seq_cst, hence the switches. */
static int load(int *x, int order)
{
    switch (order) {
    case __ATOMIC_RELAXED:
        return __atomic_load_n(x, __ATOMIC_RELAXED);
    case __ATOMIC_ACQUIRE:
        return __atomic_load_n(x, __ATOMIC_ACQUIRE);
    default:
        return __atomic_load_n(x, __ATOMIC_SEQ_CST);
    }
}

static void store(int *x, int v, int order)
{
    switch (order) {
    case __ATOMIC_RELAXED:
        __atomic_store_n(x, v, __ATOMIC_RELAXED);
        break;
    case __ATOMIC_RELEASE:
        __atomic_store_n(x, v, __ATOMIC_RELEASE);
        break;
    default:
        __atomic_store_n(x, v, __ATOMIC_SEQ_CST);
        break;
    }
}

#define RMW_SWITCH(call)                                                                           \
    switch (order) {                                                                               \
    case __ATOMIC_RELAXED:                                                                         \
        return call(__ATOMIC_RELAXED);                                                             \
    case __ATOMIC_ACQUIRE:                                                                         \
        return call(__ATOMIC_ACQUIRE);                                                             \
    case __ATOMIC_RELEASE:                                                                         \
        return call(__ATOMIC_RELEASE);                                                             \
    case __ATOMIC_ACQ_REL:                                                                         \
        return call(__ATOMIC_ACQ_REL);                                                             \
    default:                                                                                       \
        return call(__ATOMIC_SEQ_CST);                                                             \
    }

static int add(int *x, int v, int order)
{
#define ADD(o) __atomic_fetch_add(x, v, o)
    RMW_SWITCH(ADD)
}

static int exchange(int *x, int v, int order)
{
#define XCHG(o) __atomic_exchange_n(x, v, o)
    RMW_SWITCH(XCHG)
}

static int cas(int *x, int e, int v, int order)
{
#define CAS(o) __atomic_compare_exchange_n(x, &e, v, 0, o, __ATOMIC_RELAXED)
    RMW_SWITCH(CAS)
}

static void fence(int order)
{
    switch (order) {
    case __ATOMIC_ACQUIRE:
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        break;
    case __ATOMIC_RELEASE:
        __atomic_thread_fence(__ATOMIC_RELEASE);
        break;
    case __ATOMIC_ACQ_REL:
        __atomic_thread_fence(__ATOMIC_ACQ_REL);
        break;
    case __ATOMIC_SEQ_CST:
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        break;
    default:
        break;
    }
}

static void *thread(void *number)
{
    int t = (int)(long)number, kept = 0;
    for (int i = 0; i < program->length[t]; i++) {
        const struct litmus_step *s = &program->step[t][i];
        int *x = &location[s->location], v = s->from_kept ? kept : s->value, r = 0;
        switch (s->op) {
        case L_STORE:
            store(x, v, s->order);
            break;
        case L_LOAD:
            r = load(x, s->order);
            break;
        case L_ADD:
            r = add(x, v, s->order);
            break;
        case L_XCHG:
            r = exchange(x, v, s->order);
            break;
        case L_CAS:
            r = cas(x, s->expected, v, s->order);
            break;
        case L_FENCE:
            fence(s->order);
            break;
        case L_AWAIT:
            while (load(x, s->order) != v)
                ;
            r = v;
            break;
        case L_SPIN_XCHG:
            while ((r = exchange(x, v, s->order)) == v)
                ;
            break;
        case L_SPIN_CAS:
            while (!cas(x, s->expected, v, s->order))
                ;
            break;
        }
        if (s->keep)
            kept = r;
    }
    if (litmus_outcome != NULL)
        last_kept[t] = kept;
    return NULL;
}

void *litmus_run(void *p)
{
    pthread_t id[LITMUS_THREADS];
    program = p;
    for (long t = 0; t < program->threads; t++)
        (void)pthread_create(&id[t], NULL, thread, (void *)t);
    for (int t = 0; t < program->threads; t++)
        (void)pthread_join(id[t], NULL);
    if (litmus_outcome != NULL) {
        int final[LITMUS_LOCATIONS];
        for (int i = 0; i < LITMUS_LOCATIONS; i++)
            final[i] = load(&location[i], __ATOMIC_RELAXED);
        litmus_outcome(last_kept, final);
    }
    return NULL;
}
