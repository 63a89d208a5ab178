/* The read-mostly lock as shipped, with two lines: a writer alone, no lost wake.  A letter each for
 * what the threads do: R read, W write, r w with a deadline, t T try to read or write.
 *
 * Sources: src/lock/brlock.c src/lock/mutex.c
 * Run: -DLK_BRLOCK_LINES=2 -DDO="RW"
 * Run: -DLK_BRLOCK_LINES=2 -DDO="rW"
 * Run: -DLK_BRLOCK_LINES=2 -DDO="Rw"
 * Run: -DLK_BRLOCK_LINES=2 -DDO="RT"
 * Run: -DLK_BRLOCK_LINES=2 -DDO="tW"
 * Run: -DLK_BRLOCK_LINES=2 -DDO="rw"
 * Campaign: -DLK_BRLOCK_LINES=2 -DDO="RRW"
 * Campaign: --states -DLK_BRLOCK_LINES=2 -DDO="RRW"
 * Campaign: -DLK_BRLOCK_LINES=2 -DDO="RWW"
 */
#include "latchkey/rwlock.h"
#include "lock_seam.h"

static lk_brlock lock;
static int first, second;
static const char todo[] = DO;
enum { THREADS = sizeof todo - 1 };

static void reading(void)
{
    assert(first == second);
    lk_brlock_rdunlock(&lock);
}

static void writing(void)
{
    first++;
    second++;
    lk_brlock_wrunlock(&lock);
}

static void *worker(void *arg)
{
    switch (todo[(uintptr_t)arg]) {
    case 'R':
        lk_brlock_rdlock(&lock);
        reading();
        break;
    case 'W':
        lk_brlock_wrlock(&lock);
        writing();
        break;
    case 'r':
        if (lk_brlock_rdlock_until(&lock, &some_time) == 0)
            reading();
        break;
    case 't':
        if (lk_brlock_tryrdlock(&lock) == 0)
            reading();
        break;
    case 'T':
        if (lk_brlock_trywrlock(&lock) == 0)
            writing();
        break;
    default:
        if (lk_brlock_wrlock_until(&lock, &some_time) == 0)
            writing();
    }
    return NULL;
}

int main(void)
{
    pthread_t id[THREADS];
    for (uintptr_t i = 1; i < THREADS; i++)
        pthread_create(&id[i], NULL, worker, (void *)i);
    (void)worker(NULL);
    for (int i = 1; i < THREADS; i++)
        pthread_join(id[i], NULL);
    assert(first == second);
    assert(lk_brlock_trywrlock(&lock) == 0);
    return 0;
}
