/* FAILURES.md 6, self_lock: one thread locks the same lock twice, here because a set of locks names it
 * twice.  In the mended form the set is sorted and a duplicate is refused by its position.
 * Broken: --deaths 0 finds deadlock
 * Mended: --deaths 0 */
#include "specimen.h"

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;

/* Lock all; -1, or the position of one that was named before. */
static int lock_set(pthread_mutex_t **set, int n)
{
    for (int i = 1; i < n && !BROKEN; i++)
        for (int k = 0; k < i; k++)
            if (set[k] == set[i])
                return i;
    for (int i = 0; i < n; i++)
        pthread_mutex_lock(set[i]);
    return -1;
}

int main(void)
{
    pthread_mutex_t *set[] = {&a, &b, &a};
    assert(lock_set(set, 3) == 2);
    assert(pthread_mutex_trylock(&a) == 0 && pthread_mutex_trylock(&b) == 0);
    pthread_mutex_unlock(&a);
    pthread_mutex_unlock(&b);
    return 0;
}
