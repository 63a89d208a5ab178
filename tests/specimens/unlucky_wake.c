/* FAILURES.md 4, unlucky_wake: the holder is gone, the kernel wakes one of those that sleep, and that
 * one is killed before it runs; the others sleep on a free lock.  Mended: an unlock wakes two, so that
 * one of them lives, and who has slept takes the lock as crowded; whoever finds a holder dead wakes all
 * that sleep.
 * Shipped: src/life/rmutex.c, src/life/presence.c (lki_holder_mourn)
 * Broken: --deaths 1 finds hang
 * Mended: --deaths 1 */
#include "specimen.h"

enum { WAKES = BROKEN ? 1 : 2 };
static atomic_int word = 1; /* 0 free, 1 held, 2 held and crowded; held by the first thread */

static void unlock(void)
{
    if (atomic_exchange(&word, 0) == 2)
        futex_wake(&word, WAKES);
}

static void *sleeper(void *arg)
{
    lk_check_mortal(true);
    while (atomic_exchange(&word, 2) != 0)
        futex_wait(&word, 2);
    lk_check_mortal(false); /* a death inside is another specimen: dead_writer */
    unlock();
    return arg;
}

int main(void)
{
    pthread_t id[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, sleeper, NULL);
    unlock();
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    return 0;
}
