/* Programs that lock one mutex inside another, for campaign_order.sh: with -DOURS by our watched
 * mutexes, else by plain pthread ones, for ThreadSanitizer and helgrind.  The threads run one after
 * the other, so nothing ever blocks, and are not joined until the end, so that they could have run
 * at the same time.
 *
 *     order_beside NAME     exit: OURS: 1 a ring was reported, 0 none; else what the tool makes it
 *     order_beside          the names, and whether each can deadlock */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#ifdef OURS
#include "latchkey/order.h"
typedef lk_order_mutex mutex;
#define LOCK(m) lk_order_lock(m)
#define UNLOCK(m) lk_order_unlock(m)
#define TRYLOCK(m) lk_order_trylock(m)
#else
typedef pthread_mutex_t mutex;
#define LOCK(m) (void)pthread_mutex_lock(m)
#define UNLOCK(m) (void)pthread_mutex_unlock(m)
#define TRYLOCK(m) pthread_mutex_trylock(m)
#endif

enum { MANY = 100 };
static mutex m[MANY];

/* "ab": lock a, then b, then unlock them.  '?': the next is only tried.  '-': the oldest is
 * unlocked first (hand over hand).  '*': all that there are. */
static void nest(const char *names)
{
    int held[MANY], n = 0;
    if (*names == '*') {
        for (n = 0; n < MANY; n++) {
            LOCK(&m[n]);
            held[n] = n;
        }
        names = "";
    }
    for (const char *c = names; *c != 0; c++) {
        if (*c == '-') {
            UNLOCK(&m[held[0]]);
            memmove(held, held + 1, (size_t)--n * sizeof *held);
        } else if (*c == '?') {
            held[n] = *++c - 'a';
            n += TRYLOCK(&m[held[n]]) == 0;
        } else {
            LOCK(&m[held[n++] = *c - 'a']);
        }
    }
    while (n-- > 0)
        UNLOCK(&m[held[n]]);
}

struct turn {
    const char *does[3]; /* one after the other, by one thread */
    sem_t go, done;
    pthread_t id;
};

static void *run(void *arg)
{
    struct turn *t = arg;
    (void)sem_wait(&t->go);
    for (int i = 0; i < 3 && t->does[i] != NULL; i++)
        nest(t->does[i]);
    (void)sem_post(&t->done);
    return NULL;
}

static const struct program {
    const char *name;
    int deadlocks;
    const char *does[3][3];
} programs[] = {
    {"two_orders", 1, {{"ab"}, {"ba"}}},
    {"ring_of_three", 1, {{"ab"}, {"bc"}, {"ca"}}},
    {"below_another", 1, {{"cab"}, {"ba"}}},
    {"gate_of_one_only", 1, {{"gab"}, {"hba"}}},
    {"gate", 0, {{"gab"}, {"gba"}}},
    {"gate_below_others", 0, {{"cgab"}, {"dgba"}}},
    {"one_thread", 0, {{"ab", "ba"}}},
    {"hand_over_hand", 0, {{"ab-c-d"}, {"ab-c-d"}}},
    {"tried_only", 0, {{"ab"}, {"b?a"}}},
    {"hundred_held", 0, {{"*"}, {"*"}}},
    {"same_order", 0, {{"abc"}, {"ac"}, {"bc"}}},
};

static int all(const struct program *p)
{
    static struct turn turn[3];
    int n = 0;
    for (; n < 3 && p->does[n][0] != NULL; n++) {
        memcpy(turn[n].does, p->does[n], sizeof turn[n].does);
        (void)sem_init(&turn[n].go, 0, 0);
        (void)sem_init(&turn[n].done, 0, 0);
        if (pthread_create(&turn[n].id, NULL, run, &turn[n]) != 0)
            return 2;
    }
    for (int i = 0; i < n; i++) {
        (void)sem_post(&turn[i].go);
        (void)sem_wait(&turn[i].done);
    }
    for (int i = 0; i < n; i++)
        (void)pthread_join(turn[i].id, NULL);
#ifdef OURS
    return lk_order_rings() != 0;
#else
    return 0;
#endif
}

int main(int argc, char **argv)
{
    for (int i = 0; i < MANY; i++)
#ifdef OURS
        lk_order_mutex_init(&m[i], "m");
    lk_order_on(true);
#else
        (void)pthread_mutex_init(&m[i], NULL);
#endif
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        if (argc < 2)
            (void)printf("%s %d\n", programs[i].name, programs[i].deadlocks);
        else if (strcmp(programs[i].name, argv[1]) == 0)
            return all(&programs[i]);
    }
    return argc < 2 ? 0 : 2;
}
