/* handover_test.c - how long a dead holder keeps the next one waiting.
 * Runs alone */
#include <errno.h>
#include <unistd.h>

#include "handover.h"
#include "latchkey/latchkey.h"
#include "test.h"

enum { DEATHS = 2000 };

struct scene {
    lk_seg *seg;
    lk_rmutex *mutex;
    struct handover handover;
};

static void lock(void *arg)
{
    const struct scene *s = arg;
    if (lk_rmutex_lock(s->mutex) != 0)
        _exit(1);
}

static void take_over(void *arg)
{
    const struct scene *s = arg;
    handover_say(&s->handover);
    int rc = lk_rmutex_lock(s->mutex);
    uint64_t now = t_now_ns();
    if (rc != EOWNERDEAD || lk_rmutex_consistent(s->mutex) != 0 || lk_rmutex_unlock(s->mutex) != 0)
        _exit(1);
    handover_got(&s->handover, now);
}

T_TEST(the_sleeper_of_a_dead_holder_goes_on_within_a_millisecond)
{
    T_TIMEOUT(120);
    struct scene s = {.handover = {.lock = lock, .take_over = take_over, .arg = &s}};
    (void)t_tmpdir();
    handover_begin(&s.handover);
    T_REQUIRE_RC(lk_seg_create(&s.seg, "handover", 4096, 0), 0);
    s.mutex = lk_seg_memory(s.seg);
    T_REQUIRE(handover_is_quick(&s.handover, "kill to next holder", DEATHS));
    lk_seg_close(s.seg);
    T_REQUIRE_RC(lk_seg_unlink("handover"), 0);
}
