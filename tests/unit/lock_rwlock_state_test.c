/* What the flags of a reader-writer lock's word say to who comes.  How the word gets them is the
 * model's (tests/model/lock_rwlock_model.c); that they are heeded, which is a matter of fairness
 * only, is seen here.
 * Kills: lock.writer_enters_hungry, lock.writer_enters_awake. */
#include <errno.h>

#include "lock/rwlock.h"
#include "test.h"

T_TEST(a_free_lock_is_kept_for_writers_that_wait)
{
    static const uint64_t flags[] = {HUNGRY, AWAKE, HUNGRY | CROWDED, AWAKE | CROWDED};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        lk_rwlock l = {.state_ = ONE_WRITER | flags[i]};
        T_REQUIRE_RC(lk_rwlock_trywrlock(&l), EBUSY);
        T_REQUIRE_EQ(l.state_, ONE_WRITER | flags[i]);
    }
}

/* One that sleeps, and was not woken in vain, is overtaken. */
T_TEST(a_free_lock_is_not_kept_for_a_sleeper)
{
    lk_rwlock l = {.state_ = ONE_WRITER | CROWDED};
    T_REQUIRE_RC(lk_rwlock_trywrlock(&l), 0);
    T_REQUIRE_EQ(l.state_, ONE_WRITER | CROWDED | WRITER);
}
