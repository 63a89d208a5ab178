/* rhandover_test.c - how long a dead reader or writer of the robust reader-writer lock keeps the
 * next one waiting.
 * Runs alone */
#include <errno.h>
#include <unistd.h>

#include "handover.h"
#include "latchkey/latchkey.h"
#include "latchkey/robust.h"
#include "test.h"

enum { DEATHS = 300 };

struct scene {
    lk_seg *seg;
    lk_rrwlock *lock;
    bool dead_writes, next_writes;
    struct handover handover;
};

static void lock(void *arg)
{
    const struct scene *s = arg;
    if ((s->dead_writes ? lk_rrwlock_wrlock(s->lock) : lk_rrwlock_rdlock(s->lock)) != 0)
        _exit(1);
}

static void take_over(void *arg)
{
    const struct scene *s = arg;
    handover_say(&s->handover);
    int rc = s->next_writes ? lk_rrwlock_wrlock(s->lock) : lk_rrwlock_rdlock(s->lock);
    uint64_t now = t_now_ns();
    if (rc != (s->dead_writes ? EOWNERDEAD : 0) ||
        (rc != 0 && lk_rrwlock_consistent(s->lock) != 0) || lk_rrwlock_unlock(s->lock) != 0)
        _exit(1);
    handover_got(&s->handover, now);
}

static void require_quick(const char *what, bool dead_writes, bool next_writes)
{
    T_TIMEOUT(120);
    struct scene s = {.dead_writes = dead_writes,
                      .next_writes = next_writes,
                      .handover = {.lock = lock, .take_over = take_over, .arg = &s}};
    struct lk_robust_counts counts;
    handover_begin(&s.handover);
    T_REQUIRE_RC(lk_seg_create_anonymous(&s.seg, 4096, 64), 0);
    s.lock = lk_seg_memory(s.seg);
    bool quick = handover_is_quick(&s.handover, what, DEATHS);
    T_REQUIRE_RC(lk_robust_count(s.lock, &counts), 0);
    T_LOG("%llu sleeps, %llu of them ended by the backstop", (unsigned long long)counts.sleeps,
          (unsigned long long)counts.backstops);
    T_REQUIRE(quick);
    T_REQUIRE_EQ(counts.backstops, 0);
    lk_seg_close(s.seg);
}

T_TEST(a_reader_goes_on_within_a_millisecond_of_a_writers_death)
{
    require_quick("dead writer to reader", true, false);
}

T_TEST(a_writer_goes_on_within_a_millisecond_of_a_writers_death)
{
    require_quick("dead writer to writer", true, true);
}

T_TEST(a_writer_goes_on_within_a_millisecond_of_a_readers_death)
{
    require_quick("dead reader to writer", false, true);
}
