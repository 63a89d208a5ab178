/* The reader-writer lock as shipped, each kind: a writer alone, readers with readers, publication,
 * no lost wake, no spin; deadlines, try, upgrade, downgrade; the idle lock is all zero.
 * A letter each for what the threads do: R read, W write, r w with a deadline, t T try to read or
 * write, U read and upgrade, u with a deadline, D write and downgrade.
 *
 * Sources: src/lock/rwlock.c
 * Run: -DKIND=0 -DDO="RW"
 * Run: -DKIND=3 -DDO="RW"
 */
#include "latchkey/rwlock.h"
#include "lock_seam.h"

static lk_rwlock lock = LK_RWLOCK_INIT(KIND);
static const char todo[] = DO;
enum { THREADS = sizeof todo - 1 };
static int first, second; /* equal but inside */
static unsigned writes[THREADS];

static void reading(void)
{
    assert(first == second);
}

static void writing(unsigned me)
{
    assert(first == second);
    first++;
    second++;
    writes[me]++;
}

static void upgrade(unsigned me, const struct timespec *until)
{
    lk_rwlock_rdlock(&lock);
    reading();
    int rc = lk_rwlock_upgrade_until(&lock, until);
    assert(rc == 0 || rc == EDEADLK || (rc == ETIMEDOUT && until != NULL));
    if (rc == 0)
        writing(me);
    else
        reading();
    lk_rwlock_unlock(&lock);
}

static void downgrade(unsigned me)
{
    lk_rwlock_wrlock(&lock);
    writing(me);
    lk_rwlock_downgrade(&lock);
    reading();
    lk_rwlock_rdunlock(&lock);
}

static void read_if(int rc, int otherwise)
{
    assert(rc == 0 || rc == otherwise);
    if (rc != 0)
        return;
    reading();
    lk_rwlock_rdunlock(&lock);
}

static void write_if(unsigned me, int rc, int otherwise)
{
    assert(rc == 0 || rc == otherwise);
    if (rc != 0)
        return;
    writing(me);
    lk_rwlock_wrunlock(&lock);
}

static void *worker(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    switch (todo[me]) {
    case 'R':
        lk_rwlock_rdlock(&lock);
        read_if(0, 0);
        break;
    case 'W':
        lk_rwlock_wrlock(&lock);
        write_if(me, 0, 0);
        break;
    case 'r':
        read_if(lk_rwlock_rdlock_until(&lock, &some_time), ETIMEDOUT);
        break;
    case 'w':
        write_if(me, lk_rwlock_wrlock_until(&lock, &some_time), ETIMEDOUT);
        break;
    case 't':
        read_if(lk_rwlock_tryrdlock(&lock), EBUSY);
        break;
    case 'T':
        write_if(me, lk_rwlock_trywrlock(&lock), EBUSY);
        break;
    case 'U':
    case 'u':
        upgrade(me, todo[me] == 'u' ? &some_time : NULL);
        break;
    default:
        downgrade(me);
    }
    return NULL;
}

int main(void)
{
    pthread_t id[THREADS];
    for (uintptr_t i = 1; i < THREADS; i++)
        pthread_create(&id[i], NULL, worker, (void *)i);
    (void)worker(NULL);
    unsigned sum = writes[0];
    for (int i = 1; i < THREADS; i++) {
        pthread_join(id[i], NULL);
        sum += writes[i];
    }
    assert(first == (int)sum && second == (int)sum);
    assert(lock.state_ == 0);
    return 0;
}
