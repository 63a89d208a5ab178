/* bank.c - transfers between accounts that cannot deadlock, whichever way the money goes.
 *
 *     cc bank.c $(pkg-config --cflags --libs latchkey) */
#include <latchkey/latchkey.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { ACCOUNTS = 5, THREADS = 4, TRANSFERS = 20000 };

struct account {
    lk_mutex lock;
    long coins;
};

static struct account bank[ACCOUNTS];

/* Both accounts are locked, or neither; their order does not matter. */
static void transfer(lk_key key, struct account *from, struct account *to, long coins)
{
    lk_scope (key, LK_SET(LK_LOCK(&from->lock), LK_LOCK(&to->lock))) {
        if (from->coins < coins)
            return; /* unlocks */
        from->coins -= coins;
        to->coins += coins;
    }
}

static void *clerk(void *arg)
{
    lk_key key = lk_key_take();
    unsigned seed = (unsigned)(size_t)arg;
    for (int i = 0; i < TRANSFERS; i++) {
        int from = rand_r(&seed) % ACCOUNTS;
        int to = (from + 1 + rand_r(&seed) % (ACCOUNTS - 1)) % ACCOUNTS;
        transfer(key, &bank[from], &bank[to], 1 + rand_r(&seed) % 10);
    }
    lk_key_give(key);
    return NULL;
}

/* All accounts at one moment. */
static long sum(lk_key key)
{
    static lk_member members[ACCOUNTS];
    lk_set all;
    long coins = 0;
    for (int i = 0; i < ACCOUNTS; i++)
        members[i] = LK_LOCK(&bank[i].lock);
    lk_set_new(&all, members, ACCOUNTS, ACCOUNTS);
    lk_scope (key, LK_OF(&all))
        for (int i = 0; i < ACCOUNTS; i++)
            coins += bank[i].coins;
    return coins;
}

int main(void)
{
    pthread_t id[THREADS];
    lk_key key = lk_key_take();
    for (int i = 0; i < ACCOUNTS; i++)
        bank[i].coins = 100;
    for (size_t t = 0; t < THREADS; t++)
        if (pthread_create(&id[t], NULL, clerk, (void *)(t + 1)) != 0)
            return 1;
    long during = sum(key);
    for (int t = 0; t < THREADS; t++)
        if (lk_key_join(key, id[t], NULL) != 0)
            return 1;
    printf("%d transfers by %d clerks; %ld coins during, %ld after\n", THREADS * TRANSFERS, THREADS,
           during, sum(key));
    lk_key_give(key);
    return 0;
}
