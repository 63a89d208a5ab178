/* FAILURES.md 6, leaked_by_panic: to take a set fails midway; what was taken is kept, or what was never
 * taken is given back.  In the mended form just what was taken is given back.
 * Broken: --deaths 0 finds misuse
 * Broken: --deaths 0 -DKEEPS=1 finds deadlock
 * Mended: --deaths 0 */
#include "specimen.h"

#ifndef KEEPS
#define KEEPS 0
#endif

enum { N = 2 };
static pthread_mutex_t lock[N] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};

static bool try_all(void)
{
    for (int i = 0; i < N; i++) {
        if (pthread_mutex_trylock(&lock[i]) == 0)
            continue;
        int taken = !BROKEN ? i : KEEPS ? 0 : N;
        while (taken-- > 0)
            pthread_mutex_unlock(&lock[taken]);
        return false;
    }
    return true;
}

static void *taker(void *arg)
{
    if (try_all()) {
        pthread_mutex_unlock(&lock[1]);
        pthread_mutex_unlock(&lock[0]);
    }
    return arg;
}

static void *other(void *arg)
{
    pthread_mutex_lock(&lock[1]);
    pthread_mutex_unlock(&lock[1]);
    pthread_mutex_lock(&lock[0]);
    pthread_mutex_unlock(&lock[0]);
    return arg;
}

int main(void)
{
    run_two(taker, other);
    return 0;
}
