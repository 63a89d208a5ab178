/* The sequence lock as shipped: no copy is torn; writers exclude each other; readers and writers
 * that wait are woken.
 *
 * Sources: src/lock/seqlock.c
 * Run: -DDO="RW"
 * Run: -DDO="WW"
 * Run: -DDO="Rw"
 * Run: -DDO="RW" -DLK_MODEL_COPIES=1
 * Campaign: -DDO="RWW"
 * Campaign: --states -DDO="RWW"
 * Campaign: --states -DDO="RRW" -DLK_MODEL_COPIES=2
 */
#include "latchkey/seqlock.h"
#include "lock_seam.h"

static lk_seqlock lock;
static uint64_t pair[2];
static const char todo[] = DO;
enum { THREADS = sizeof todo - 1 };

static void write_pair(void)
{
    uint64_t copy[2];
    lk_seqlock_get(copy, pair, sizeof copy);
    assert(copy[0] == copy[1]);
    copy[0]++;
    copy[1]++;
    lk_seqlock_put(pair, copy, sizeof copy);
    lk_seqlock_unlock(&lock);
}

static void *worker(void *arg)
{
    uint64_t copy[2];
    switch (todo[(uintptr_t)arg]) {
    case 'R':
        lk_seqlock_load(&lock, copy, pair, sizeof copy);
        assert(copy[0] == copy[1]);
        break;
    case 'W':
        lk_seqlock_lock(&lock);
        write_pair();
        break;
    default:
        if (lk_seqlock_lock_until(&lock, &some_time) == 0)
            write_pair();
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
    uint64_t copy[2];
    lk_seqlock_load(&lock, copy, pair, sizeof copy);
    assert(copy[0] == copy[1] && lock.word_ >= copy[0] * LK_SEQLOCK_ONE_);
    return 0;
}
