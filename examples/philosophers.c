/* philosophers.c - each needs the forks on both sides; nobody starves in a circle.
 *
 *     cc philosophers.c $(pkg-config --cflags --libs latchkey) */
#include <latchkey/latchkey.h>
#include <pthread.h>
#include <stdio.h>

enum { SEATS = 5, MEALS = 5000 };

static lk_mutex fork_at[SEATS];
static long meals[SEATS];

static void *philosopher(void *arg)
{
    size_t seat = (size_t)arg;
    lk_key key = lk_key_take();
    for (int i = 0; i < MEALS; i++)
        lk_scope (key, LK_SET(LK_LOCK(&fork_at[seat]), LK_LOCK(&fork_at[(seat + 1) % SEATS])))
            meals[seat]++;
    lk_key_give(key);
    return NULL;
}

int main(void)
{
    pthread_t id[SEATS];
    long eaten = 0;
    for (size_t i = 0; i < SEATS; i++)
        if (pthread_create(&id[i], NULL, philosopher, (void *)i) != 0)
            return 1;
    for (int i = 0; i < SEATS; i++) {
        if (pthread_join(id[i], NULL) != 0)
            return 1;
        eaten += meals[i];
    }
    printf("%d philosophers ate %ld times\n", SEATS, eaten);
    return 0;
}
