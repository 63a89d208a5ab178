/* FAILURES.md 6, retry_livelock: lock one, try the rest; if one fails, release all and begin again
 * with the one that failed.  No deadlock, but threads can go round for ever, all of them moving:
 * each takes one lock, finds the other taken, and gives way.  In the mended form only the younger
 * ones give way; the oldest waits with what it holds, so it comes to its end.
 *
 * Every lap has effects, so this is no waiting: the checker sees that the state of all threads
 * comes again on a walk on which each of them has moved.
 * Broken: --deaths 0 finds livelock within 5
 * Broken: --deaths 0 -DMEMBERS=3 finds livelock within 5
 * Mended: --deaths 0 */
#include "specimen.h"

#ifndef MEMBERS
#define MEMBERS 2
#endif

static pthread_mutex_t lock[MEMBERS];
static int held[MEMBERS];

/* Member i wants lock i and the next one. */
static void take_both(long i)
{
    long first = i, other = (i + 1) % MEMBERS;
    if (!BROKEN && i == 0) {
        pthread_mutex_lock(&lock[first]);
        pthread_mutex_lock(&lock[other]);
        return;
    }
    for (;;) {
        pthread_mutex_lock(&lock[first]);
        if (pthread_mutex_trylock(&lock[other]) == 0)
            return;
        pthread_mutex_unlock(&lock[first]);
        long failed = other;
        other = first;
        first = failed;
    }
}

static void *member(void *arg)
{
    long i = (long)arg, j = (i + 1) % MEMBERS;
    take_both(i);
    assert(held[i]++ == 0 && held[j]++ == 0);
    held[i] = held[j] = 0;
    pthread_mutex_unlock(&lock[i]);
    pthread_mutex_unlock(&lock[j]);
    return NULL;
}

int main(void)
{
    run_threads(MEMBERS, member);
    return 0;
}
