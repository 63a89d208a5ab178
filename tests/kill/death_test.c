/* death_test.c - SIGKILL for real at every single instruction of attaching, detaching, locking and
 * unlocking: what the kernel does at a death is part of what is tested.
 * Runs in: dev */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "life/presence.h"
#include "singlestep.h"
#include "test.h"

enum { THREADS = 3 };

#define WAITERS_BIT 0x80000000u

struct scene {
    lk_seg *seg;
    lk_rmutex *mutex;
    struct lki_presence *presence;
};

static struct scene scene_make(void)
{
    struct scene s;
    T_REQUIRE_RC(lk_seg_create_anonymous(&s.seg, 64, THREADS), 0);
    s.mutex = lk_seg_memory(s.seg);
    s.presence = lki_presence_of(s.mutex);
    T_REQUIRE(s.presence != NULL);
    return s;
}

/* Call fn with the number of instructions after which the child was killed, for each until it
 * gets to the end of its operation.  `before` (may be NULL) sets the scene anew for each child. */
static void kill_every(unsigned long step, const char *what, struct scene *s,
                       const struct role *role, void (*before)(struct scene *s),
                       void (*after)(struct scene *s, unsigned long n))
{
    bool ended = false;
    T_TIMEOUT(300);
    for (unsigned long n = 0; !ended; n += step) {
        if (before != NULL)
            before(s);
        struct stepped child = step_begin(role);
        ended = !step_many(&child, n);
        step_kill(&child);
        after(s, n);
        if (ended)
            T_LOG("%s: %lu instructions, killed at each %lu. of them", what, n, step);
    }
}

static void kill_everywhere(const char *what, struct scene *s, const struct role *role,
                            void (*before)(struct scene *s),
                            void (*after)(struct scene *s, unsigned long n))
{
    kill_every(1, what, s, role, before, after);
}

/* Attaching is a thousand instructions, most of them the C library's: a death at each takes
 * minutes.  LK_KILL_STEP=1 is what tests/kill/campaign_death.sh does. */
static unsigned long long_step(void)
{
    const char *step = getenv("LK_KILL_STEP");
    return step != NULL ? strtoul(step, NULL, 10) : 5;
}

/* Attached threads and the dead. */

struct crowd {
    const struct scene *scene;
    pthread_barrier_t barrier;
};

static void *attach_with_others(void *arg)
{
    struct crowd *crowd = arg;
    struct lki_self *self;
    T_REQUIRE_RC(lki_attach(crowd->scene->presence, &self), 0);
    (void)pthread_barrier_wait(&crowd->barrier);
    return NULL;
}

static void *attach_and_stay(void *arg)
{
    (void)attach_with_others(arg);
    while (pause() == -1)
        ;
    return NULL;
}

/* No slot is lost: as many threads as there are slots attach at once. */
static void require_all_slots(struct scene *s, unsigned long n)
{
    struct crowd crowd = {.scene = s};
    pthread_t threads[THREADS];
    for (uint32_t slot = 0; slot < THREADS; slot++) {
        if (lki_slot_state(s->presence, slot) == LKI_SLOT_LIVE)
            T_FAIL("killed at instruction %lu: slot %u stays alive", n, slot);
    }
    T_REQUIRE_EQ(pthread_barrier_init(&crowd.barrier, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++)
        T_REQUIRE_EQ(pthread_create(&threads[i], NULL, attach_with_others, &crowd), 0);
    for (int i = 0; i < THREADS; i++)
        T_REQUIRE_EQ(pthread_join(threads[i], NULL), 0);
    (void)pthread_barrier_destroy(&crowd.barrier);
}

static void attach(void *arg)
{
    const struct scene *s = arg;
    struct lki_self *self;
    T_REQUIRE_RC(lki_attach(s->presence, &self), 0);
}

static void detach(void *arg)
{
    const struct scene *s = arg;
    lki_detach(s->presence);
}

/* Whatever is done only once is done before the first step. */
static void attach_and_detach(void *arg)
{
    attach(arg);
    detach(arg);
}

/* Kills: life.not_announced. */
T_TEST(attaching_loses_no_slot)
{
    struct scene s = scene_make();
    const struct role role = {attach_and_detach, attach, &s};
    kill_every(long_step(), "attach", &s, &role, NULL, require_all_slots);
    lk_seg_close(s.seg);
}

static void die_attached(void *arg)
{
    struct crowd crowd = {.scene = arg};
    pthread_t threads[THREADS - 1];
    T_REQUIRE_EQ(pthread_barrier_init(&crowd.barrier, NULL, THREADS), 0);
    for (int i = 0; i < THREADS - 1; i++)
        T_REQUIRE_EQ(pthread_create(&threads[i], NULL, attach_and_stay, &crowd), 0);
    attach(arg);
    (void)pthread_barrier_wait(&crowd.barrier);
    _exit(0);
}

/* All slots are those of dead threads. */
static void fill_with_dead(struct scene *s)
{
    T_REQUIRE_EQ(t_wait(t_fork(die_attached, s)), 0);
    for (uint32_t slot = 0; slot < THREADS; slot++)
        T_REQUIRE_EQ(lki_slot_state(s->presence, slot), LKI_SLOT_DEAD);
}

/* Whatever is done only once is done before the first step; this scene's slots are not touched. */
static void attach_elsewhere(void *arg)
{
    struct scene other = scene_make();
    (void)arg;
    attach(&other);
}

T_TEST(attaching_in_a_dead_threads_slot_loses_no_slot)
{
    struct scene s = scene_make();
    const struct role role = {attach_elsewhere, attach, &s};
    kill_every(long_step(), "attach in a dead thread's slot", &s, &role, fill_with_dead,
               require_all_slots);
    lk_seg_close(s.seg);
}

/* Kills: life.detach_keeps_token, life.leave_not_announced. */
T_TEST(detaching_loses_no_slot)
{
    struct scene s = scene_make();
    const struct role role = {attach, detach, &s};
    kill_everywhere("detach", &s, &role, NULL, require_all_slots);
    lk_seg_close(s.seg);
}

/* The mutex. */

static void lock(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rmutex_lock(s->mutex), 0);
}

static void unlock(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rmutex_unlock(s->mutex), 0);
}

static void lock_and_unlock(void *arg)
{
    lock(arg);
    unlock(arg);
}

static unsigned deaths_inside, deaths_outside;

/* EOWNERDEAD exactly when the word names the dead one, and the mutex is whole again afterwards. */
static void require_told(struct scene *s, unsigned long n)
{
    uint32_t word = s->mutex->word_;
    bool inside = (word & LKI_HOLDER_ANY) != 0;
    int rc = lk_rmutex_trylock(s->mutex);
    if (rc != (inside ? EOWNERDEAD : 0))
        T_FAIL("killed at instruction %lu, word %08x: trylock returned %d (%s)", n, word, rc,
               lk_strerror(rc));
    deaths_inside += inside;
    deaths_outside += !inside;
    if (inside)
        T_REQUIRE_RC(lk_rmutex_consistent(s->mutex), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(s->mutex), 0);
    T_REQUIRE_RC(lk_rmutex_trylock(s->mutex), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(s->mutex), 0);
    lk_seg_detach(s->seg);
}

static void check_mutex(const char *what, const struct role *role, struct scene *s,
                        void (*before)(struct scene *s))
{
    deaths_inside = deaths_outside = 0;
    kill_everywhere(what, s, role, before, require_told);
    T_LOG("%s: %u deaths inside, %u outside", what, deaths_inside, deaths_outside);
    T_REQUIRE(deaths_inside > 0);
    lk_seg_close(s->seg);
}

/* Kills: life.swallow_ownerdead. */
T_TEST(death_while_locking_is_told)
{
    struct scene s = scene_make();
    const struct role role = {lock_and_unlock, lock, &s};
    check_mutex("lock", &role, &s, NULL);
    T_REQUIRE(deaths_outside > 0);
}

T_TEST(death_while_unlocking_is_told)
{
    struct scene s = scene_make();
    const struct role role = {lock, unlock, &s};
    check_mutex("unlock", &role, &s, NULL);
    T_REQUIRE(deaths_outside > 0);
}

static void claim_waiters(struct scene *s)
{
    s->mutex->word_ = WAITERS_BIT; /* legal with no sleeper: a wasted wake */
}

T_TEST(death_while_unlocking_a_crowded_mutex_is_told)
{
    struct scene s = scene_make();
    const struct role role = {lock, unlock, &s};
    check_mutex("unlock, crowded", &role, &s, claim_waiters);
}

static void die_holding(void *arg)
{
    lock(arg);
    _exit(0);
}

static void leave_to_the_next(struct scene *s)
{
    T_REQUIRE_EQ(t_wait(t_fork(die_holding, s)), 0);
}

static void attach_anew(void *arg)
{
    attach_and_detach(arg);
    attach(arg);
}

static void repair(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rmutex_trylock(s->mutex), EOWNERDEAD);
    T_REQUIRE_RC(lk_rmutex_consistent(s->mutex), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(s->mutex), 0);
}

/* A second death, of the one that was told of the first. */
T_TEST(death_of_the_repairer_is_told)
{
    struct scene s = scene_make();
    const struct role role = {attach_anew, repair, &s};
    check_mutex("repair", &role, &s, leave_to_the_next);
    T_REQUIRE(deaths_outside > 0);
}
