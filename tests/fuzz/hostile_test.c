/* A segment may hold anything, and a peer may write anything into it while we use it: calls
 * answer with data, an error or a miss; never a signal, an endless loop, an access outside the
 * mapping. Runs in: dev clang asan coverage */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/read.h"
#include "fuzz.h"
#include "latchkey/rmutex.h"
#include "latchkey/seg.h"
#include "test.h"

enum { SCRIBBLE_MS = 1500 };

static volatile char *neighbour;

static void touch_neighbour(void *unused)
{
    (void)unused;
    (void)signal(SIGSEGV, SIG_DFL);
    (void)*neighbour;
}

/* The guard pages of the fuzz cases do stop an access that is one byte outside the mapping. */
T_TEST(guard_pages_lie_on_both_sides_of_the_mapping)
{
    T_REQUIRE(fuzz_images_make());
    struct lk_cache_options o = {.capacity_bytes = 4096, .threads = 3};
    struct lk_cache_options none = {0};
    lk_cache *first = NULL, *c = NULL;
    struct fuzz_guard guard;
    T_REQUIRE_RC(lk_cache_open_anonymous(&first, &o), 0);
    size_t size = first->segment.size;
    T_REQUIRE(fuzz_guard_set(&guard, size));
    T_REQUIRE_RC(lk_cache_open_fd(&c, lk_cache_fd(first), &none), 0);
    T_REQUIRE(fuzz_guard_holds(&guard, c->segment.base));
    neighbour = c->segment.base - 1;
    T_REQUIRE_EQ(t_wait(t_fork(touch_neighbour, NULL)), -SIGSEGV);
    neighbour = c->segment.base + size;
    T_REQUIRE_EQ(t_wait(t_fork(touch_neighbour, NULL)), -SIGSEGV);
    lk_cache_close(c);
    lk_cache_close(first);
    fuzz_guard_clear(&guard);
}

/* A peer that writes random and telling words over the whole segment until it is killed. */
static void scribble(const struct lk_cache *c, uint64_t seed, size_t from)
{
    struct fuzz_random r = {seed};
    volatile uint64_t *words = (volatile uint64_t *)(void *)c->segment.base;
    size_t first = from / 8, count = c->segment.size / 8;
    for (;;) {
        size_t at = first + fuzz_draw(&r) % (count - first);
        switch (fuzz_below(&r, 4)) {
        case 0:
            words[at] = fuzz_draw(&r);
            break;
        case 1:
            words[at] = fuzz_below(&r, 64);
            break;
        case 2:
            words[at] ^= (uint64_t)1 << fuzz_below(&r, 64);
            break;
        default: /* move what is there: it makes sense elsewhere */
            words[at] = words[first + fuzz_draw(&r) % (count - first)];
        }
        if (fuzz_below(&r, 64) == 0) {
            struct timespec moment = {.tv_nsec = fuzz_below(&r, 200000)};
            (void)nanosleep(&moment, NULL);
        }
    }
}

/* Use a copy of one image while a peer scribbles from offset `from` on. */
static void use_scribbled(uint32_t number, size_t from, unsigned milliseconds)
{
    static unsigned char bytes[FUZZ_IMAGE_MAX];
    struct fuzz_image image = {.bytes = bytes};
    struct fuzz_random r = {number + 1000};
    lk_cache *c = NULL;
    struct lk_cache_options o = {.lock_timeout_ns = 100000};
    fuzz_image_copy(number, &image);
    if (from == 0)
        from = image.body_at;
    int fd = memfd_create("scribbled", MFD_CLOEXEC);
    T_REQUIRE(fd >= 0);
    T_REQUIRE_EQ(write(fd, bytes, image.size), image.size);
    T_REQUIRE_RC(lk_cache_open_fd(&c, fd, &o), 0);
    pid_t peer = fork();
    T_REQUIRE(peer >= 0);
    if (peer == 0)
        scribble(c, number, from);
    uint64_t end = t_now_ns() + milliseconds * 1000000ull;
    uint64_t rounds = 0;
    while (t_now_ns() < end) {
        fuzz_use(c, true, &r);
        rounds++;
    }
    (void)kill(peer, SIGKILL);
    T_REQUIRE_EQ(t_wait(peer), -SIGKILL);
    T_REQUIRE(rounds > 0);
    lk_cache_close(c);
    (void)close(fd);
}

/* The cache itself: heads, index, queues, entries. */
T_TEST(a_peer_scribbles_over_the_cache_while_it_is_used)
{
    T_TIMEOUT(120);
    T_REQUIRE(fuzz_images_make());
    for (uint32_t i = 0; i < fuzz_images_count(); i++)
        use_scribbled(i, 0, SCRIBBLE_MS / 3);
}

/* Presence pages too: tokens and records. */
T_TEST(a_peer_scribbles_over_presence_while_the_cache_is_used)
{
    T_TIMEOUT(120);
    T_REQUIRE(fuzz_images_make());
    for (uint32_t i = 0; i < fuzz_images_count(); i++)
        use_scribbled(i, 4096, SCRIBBLE_MS / 3);
}

/* A mutex in a segment whose word anybody may write: every lock call ends by its deadline. */
T_TEST(a_peer_scribbles_over_a_mutex)
{
    lk_seg *seg = NULL;
    struct fuzz_random r = {5};
    T_REQUIRE_RC(lk_seg_create_anonymous(&seg, 64, 4), 0);
    lk_rmutex *m = lk_seg_memory(seg);
    volatile uint32_t *word = (volatile uint32_t *)(void *)m;
    pid_t peer = fork();
    T_REQUIRE(peer >= 0);
    if (peer == 0) {
        for (;;)
            *word = fuzz_below(&r, 2) ? (uint32_t)fuzz_draw(&r) : fuzz_below(&r, 4) << 30;
    }
    uint64_t end = t_now_ns() + SCRIBBLE_MS * 1000000ull;
    uint64_t longest = 0, calls = 0;
    for (; t_now_ns() < end; calls++) {
        struct timespec until;
        uint64_t begun = t_now_ns();
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        int rc = calls % 2 ? lk_rmutex_trylock(m) : lk_rmutex_lock_until(m, &until);
        if (rc == 0 || rc == EOWNERDEAD)
            (void)lk_rmutex_unlock(m);
        else if (rc != EBUSY && rc != ETIMEDOUT && rc != ENOTRECOVERABLE && rc != EDEADLK)
            T_FAIL("lock returned %d", rc);
        uint64_t took = t_now_ns() - begun;
        longest = took > longest ? took : longest;
    }
    (void)kill(peer, SIGKILL);
    (void)t_wait(peer);
    T_REQUIRE(calls > 100);
    if (longest > 2000000000ull)
        T_FAIL("one call took %llu ms", (unsigned long long)(longest / 1000000));
    lk_seg_close(seg);
}
