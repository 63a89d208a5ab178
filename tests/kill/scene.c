/* scene.c - see scene.h. */
#include "scene.h"

#include <sched.h>
#include <sys/mman.h>

#include "test.h"

struct scene scene_make(int others)
{
    struct scene s = {.others = others};
    T_REQUIRE_RC(lk_seg_create_anonymous(&s.seg, 64, 8), 0);
    s.lock = lk_seg_memory(s.seg);
    s.stage =
        mmap(NULL, sizeof *s.stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(s.stage != MAP_FAILED);
    return s;
}

void scene_end(struct scene *s)
{
    lk_seg_close(s->seg);
    (void)munmap(s->stage, sizeof *s->stage);
}

struct timespec scene_limit(void)
{
    uint64_t end_ns = t_now_ns() + SCENE_LIMIT_MS * 1000000ull;
    return (struct timespec){(time_t)(end_ns / 1000000000u), (long)(end_ns % 1000000000u)};
}

void scene_await(_Atomic int *what, int value)
{
    uint64_t end_ns = t_now_ns() + SCENE_LIMIT_MS * 1000000ull;
    while (atomic_load(what) < value) {
        T_REQUIRE(t_now_ns() < end_ns);
        (void)sched_yield();
    }
}

void scene_come(struct stage *stage)
{
    while (!atomic_load(&stage->inside) && !atomic_load(&stage->gone))
        (void)sched_yield();
    atomic_fetch_add(&stage->come, 1);
}

void scene_change(struct stage *stage)
{
    int was = atomic_load(&stage->first);
    atomic_store(&stage->first, was + 1);
    atomic_store(&stage->second, was + 1);
}

void scene_mend(struct stage *stage)
{
    atomic_store(&stage->second, atomic_load(&stage->first));
}

void scene_look(struct stage *stage)
{
    T_REQUIRE_EQ(atomic_load(&stage->first), atomic_load(&stage->second));
}
