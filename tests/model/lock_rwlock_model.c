/* The reader-writer lock as shipped, each kind: a writer alone, readers with readers, publication,
 * no lost wake, no spin; deadlines, try, upgrade, downgrade; the idle lock is all zero.
 * A letter each for what the threads do: R read, W write, r w with a deadline, t T try to read or
 * write, v w twice, U read and upgrade, u with a deadline, D write and downgrade.  HELD: the first
 * (R or W) has the lock already when the others come.  STEERED: see given_up_twice().
 * LK_MODEL_NEAR: the first looks are those where cache lines are near.
 * The runs --states have four threads, or writers that look on (SPINS), under sequential
 * consistency.
 *
 * Sources: src/lock/rwlock.c src/lock/rwlock_change.c
 * Run: -DKIND=0 -DDO="RW"
 * Run: -DKIND=0 -DDO="WW"
 * Run: -DKIND=0 -DDO="RRW"
 * Run: -DKIND=1 -DDO="RW"
 * Run: -DKIND=1 -DDO="WW"
 * Run: -DKIND=1 -DDO="RRW"
 * Run: -DKIND=2 -DDO="RW"
 * Run: -DKIND=2 -DDO="WW"
 * Run: -DKIND=2 -DDO="RRW"
 * Run: -DKIND=3 -DDO="RW"
 * Run: -DKIND=3 -DDO="WW"
 * Run: -DKIND=3 -DDO="RRW"
 * Run: -DKIND=3 -DDO="Rw"
 * Run: -DKIND=3 -DDO="rW"
 * Run: -DKIND=3 -DDO="RRw"
 * Run: -DKIND=3 -DDO="tRW"
 * Run: -DKIND=3 -DDO="TRW"
 * Run: -DKIND=3 -DDO="uR"
 * Run: -DKIND=3 -DDO="UW"
 * Run: -DKIND=3 -DDO="UU"
 * Run: -DKIND=3 -DDO="DR"
 * Run: -DKIND=3 -DDO="DW"
 * Run: -DKIND=0 -DDO="RrW"
 * Run: -DKIND=1 -DDO="RrW"
 * Run: -DKIND=0 -DDO="RW" -DLK_MODEL_SPINS=1
 * Run: -DKIND=3 -DDO="WW" -DLK_MODEL_PATIENCE=0
 * Run: -DKIND=3 -DDO="WRw" -DHELD
 * Run: -DKIND=2 -DDO="RwR" -DHELD
 * Run: -DKIND=0 -DDO="RWT" -DHELD
 * Run: -DKIND=3 -DDO="RWW" -DHELD
 * Run: -DKIND=0 -DDO="WWw" -DHELD
 * Run: -DKIND=0 -DDO="RW" -DLK_MODEL_NEAR=1
 * Run: -DKIND=3 -DDO="WW" -DLK_MODEL_NEAR=1
 * Run: --states -DKIND=0 -DDO="RrW" -DLK_MODEL_NEAR=1
 * Run: --states -DKIND=3 -DDO="WWR" -DLK_MODEL_NEAR=1 -DLK_MODEL_PATIENCE=1
 * Run: --states -DKIND=3 -DDO="UU"
 * Run: --states -DKIND=3 -DDO="WWW" -DLK_MODEL_PATIENCE=1
 * Run: --states -DKIND=3 -DDO="WWR" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Run: --states -DKIND=0 -DDO="WWw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Run: --states -DKIND=3 -DDO="URw" -DLK_MODEL_PATIENCE=1
 * Run: --states -DKIND=3 -DDO="uRr" -DLK_MODEL_PATIENCE=1
 * Campaign: -DKIND=0 -DDO="RWW"
 * Campaign: -DKIND=0 -DDO="UWR"
 * Campaign: -DKIND=0 -DDO="rWW"
 * Campaign: -DKIND=0 -DDO="DRW"
 * Campaign: -DKIND=1 -DDO="RWW"
 * Campaign: -DKIND=1 -DDO="UWR"
 * Campaign: -DKIND=1 -DDO="rWW"
 * Campaign: -DKIND=1 -DDO="DRW"
 * Campaign: -DKIND=2 -DDO="RWW"
 * Campaign: -DKIND=2 -DDO="UWR"
 * Campaign: -DKIND=2 -DDO="rWW"
 * Campaign: -DKIND=2 -DDO="DRW"
 * Campaign: -DKIND=3 -DDO="RWW"
 * Campaign: -DKIND=3 -DDO="UWR"
 * Campaign: -DKIND=3 -DDO="rWW"
 * Campaign: -DKIND=3 -DDO="DRW"
 * Campaign: --states -DKIND=0 -DDO="WWRR" -DLK_MODEL_PATIENCE=1
 * Campaign: --states -DKIND=1 -DDO="WWRR" -DLK_MODEL_PATIENCE=1
 * Campaign: --states -DKIND=2 -DDO="WWRR" -DLK_MODEL_PATIENCE=1
 * Campaign: --states -DKIND=3 -DDO="WWRR" -DLK_MODEL_PATIENCE=1
 * Campaign: --states -DKIND=0 -DDO="WWw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=0 -DDO="RWw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=0 -DDO="Rrw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=0 -DDO="URw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=0 -DDO="uRW" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=0 -DDO="DRw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=1 -DDO="WWw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=1 -DDO="RWw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=1 -DDO="Rrw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=1 -DDO="URw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=1 -DDO="uRW" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=1 -DDO="DRw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=2 -DDO="WWw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=2 -DDO="RWw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=2 -DDO="Rrw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=2 -DDO="URw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=2 -DDO="uRW" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=2 -DDO="DRw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=3 -DDO="WWw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=3 -DDO="RWw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=3 -DDO="Rrw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=3 -DDO="URw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=3 -DDO="uRW" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=3 -DDO="DRw" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=0 -DDO="WWw" -DLK_MODEL_PATIENCE=0 -DLK_MODEL_SPINS=1
 * Campaign: --states -DKIND=3 -DDO="WWw" -DLK_MODEL_PATIENCE=0 -DLK_MODEL_SPINS=1
 * Campaign: -DKIND=0 -DDO="RRW" -DLK_MODEL_NEAR=1
 * Campaign: -DKIND=0 -DDO="RWW" -DLK_MODEL_NEAR=1
 * Campaign: -DKIND=1 -DDO="RRW" -DLK_MODEL_NEAR=1
 * Campaign: -DKIND=1 -DDO="RWW" -DLK_MODEL_NEAR=1
 * Campaign: -DKIND=2 -DDO="RRW" -DLK_MODEL_NEAR=1
 * Campaign: -DKIND=2 -DDO="RWW" -DLK_MODEL_NEAR=1
 * Campaign: -DKIND=3 -DDO="RRW" -DLK_MODEL_NEAR=1
 * Campaign: -DKIND=3 -DDO="RWW" -DLK_MODEL_NEAR=1
 * Campaign: --states -DKIND=0 -DDO="WWRR" -DLK_MODEL_NEAR=1 -DLK_MODEL_PATIENCE=1
 * Campaign: --states -DKIND=1 -DDO="WWRR" -DLK_MODEL_NEAR=1 -DLK_MODEL_PATIENCE=1
 * Campaign: --states -DKIND=2 -DDO="WWRR" -DLK_MODEL_NEAR=1 -DLK_MODEL_PATIENCE=1
 * Campaign: --states -DKIND=3 -DDO="WWRR" -DLK_MODEL_NEAR=1 -DLK_MODEL_PATIENCE=1
 * Campaign: --states -DKIND=3 -DDO="rwRW" -DLK_MODEL_NEAR=1 -DLK_MODEL_PATIENCE=1
 * Find: -DKIND=0 -DDO="RWw" -DHELD -DLK_MODEL_PATIENCE=0 -DLK_MODEL_SPINS=1
 * Find: --states -DKIND=3 -DDO="RuR" -DHELD
 * Find: --model sc -DKIND=2 -DDO="RvR" -DHELD -DSTEERED
 * Find: --states -DKIND=0 -DDO="WWw" -DLK_MODEL_PATIENCE=0 -DLK_MODEL_SPINS=1
 * Find: --states -DKIND=3 -DDO="WWWw" -DLK_MODEL_PATIENCE=1
 * Find: --states -DKIND=3 -DDO="WWww" -DLK_MODEL_PATIENCE=1 -DLK_MODEL_SPINS=1
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

static void begin(unsigned me)
{
    if (todo[me] == 'R')
        lk_rwlock_rdlock(&lock);
    else
        lk_rwlock_wrlock(&lock);
}

static void end(unsigned me)
{
    if (todo[me] == 'R')
        read_if(0, 0);
    else
        write_if(me, 0, 0);
}

static void *worker(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    switch (todo[me]) {
    case 'R':
    case 'W':
        begin(me);
        end(me);
        break;
    case 'r':
        read_if(lk_rwlock_rdlock_until(&lock, &some_time), ETIMEDOUT);
        break;
    case 'v':
        write_if(me, lk_rwlock_wrlock_until(&lock, &some_time), ETIMEDOUT);
        write_if(me, lk_rwlock_wrlock_until(&lock, &some_time), ETIMEDOUT);
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

#ifdef STEERED
/* Only executions in which a writer and a reader wait / in which no writer does. */
static void see(bool writers, bool waiting)
{
    uint64_t s = __atomic_load_n(&lock.state_, __ATOMIC_RELAXED);
    lk_check_assume(((s & UINT64_C(0xffff000000000000)) != 0) == writers);
    lk_check_assume(((s & 0xffff0000u) != 0) == waiting);
}

/* What a reader waited for gives up, somebody writes, a writer comes and gives up: the state is the
 * same again, and the reader that looked at the first one enters by the second. */
static void given_up_twice(void)
{
    see(true, true);
    see(false, true);
    end(0);
    lk_rwlock_wrlock(&lock);
    writing(0);
    see(true, true);
    lk_rwlock_downgrade(&lock);
    see(false, true);
    reading();
    lk_rwlock_rdunlock(&lock);
}
#endif

int main(void)
{
    pthread_t id[THREADS];
#ifdef HELD
    begin(0);
#endif
    for (uintptr_t i = 1; i < THREADS; i++)
        pthread_create(&id[i], NULL, worker, (void *)i);
#ifdef STEERED
    given_up_twice();
#elif defined HELD
    end(0);
#else
    (void)worker(NULL);
#endif
    unsigned sum = writes[0];
    for (int i = 1; i < THREADS; i++) {
        pthread_join(id[i], NULL);
        sum += writes[i];
    }
    assert(first == (int)sum && second == (int)sum);
    assert(lock.state_ == 0);
    return 0;
}
