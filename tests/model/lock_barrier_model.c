/* The barrier as shipped: what each wrote before it came is seen by all behind it, again at once,
 * and with a thread that gives up.
 *
 * Sources: src/lock/barrier.c
 * Run: -DMEMBERS=2 -DMEETINGS=2
 * Run: -DMEMBERS=2 -DMEETINGS=3
 * Run: -DMEMBERS=3 -DMEETINGS=1
 * Run: -DMEMBERS=2 -DMEETINGS=1 -DTIMED
 * Campaign: -DMEMBERS=3 -DMEETINGS=2
 * Campaign: --states -DMEMBERS=3 -DMEETINGS=2
 */
#include "latchkey/barrier.h"
#include "lock_seam.h"

static lk_barrier barrier = LK_BARRIER_INIT(MEMBERS);
static int wrote[MEETINGS][MEMBERS];
static int last[MEMBERS];

static void meet(int i, unsigned me)
{
    wrote[i][me] = 1;
    int rc = lk_barrier_wait(&barrier);
    assert(rc == 0 || rc == LK_BARRIER_LAST);
    last[me] += rc;
    for (int other = 0; other < MEMBERS; other++)
        assert(wrote[i][other] == 1);
}

static void *member(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
#ifdef TIMED
    wrote[0][me] = 1;
    int rc = me == 1 ? lk_barrier_wait_until(&barrier, &some_time) : lk_barrier_wait(&barrier);
    if (rc == ETIMEDOUT) /* the other waits for one more */
        rc = lk_barrier_wait(&barrier);
    last[me] += rc;
    assert(wrote[0][1 - me] == 1);
#else
    for (int i = 0; i < MEETINGS; i++)
        meet(i, me);
#endif
    return NULL;
}

int main(void)
{
    pthread_t id[MEMBERS];
    (void)meet;
    for (uintptr_t i = 1; i < MEMBERS; i++)
        pthread_create(&id[i], NULL, member, (void *)i);
    (void)member(NULL);
    int lasts = last[0];
    for (int i = 1; i < MEMBERS; i++) {
        pthread_join(id[i], NULL);
        lasts += last[i];
    }
    assert(lasts == MEETINGS);
    return 0;
}
