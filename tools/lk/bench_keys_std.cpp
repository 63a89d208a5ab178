/* bench_keys_std.cpp - std::scoped_lock and std::lock, for lk bench keys. */
#include <mutex>
#include <utility>

#include "bench_keys.h"

namespace
{

struct alignas(64) one {
    std::mutex m;
};
one locks[KEYS_MOST];
one forks[KEYS_SEATS];

template <std::size_t... I> void pairs(keys_thread *t, std::index_sequence<I...>)
{
    while (!keys_stopped(t)) {
        for (int i = 0; i < 64; i++) {
            std::scoped_lock held(locks[I].m...);
            asm volatile("" ::: "memory");
        }
        t->done += 64;
    }
}

void sets(keys_thread *t)
{
    switch (t->k) {
    case 1:
        return pairs(t, std::make_index_sequence<1>());
    case 2:
        return pairs(t, std::make_index_sequence<2>());
    case 4:
        return pairs(t, std::make_index_sequence<4>());
    case 8:
        return pairs(t, std::make_index_sequence<8>());
    default:
        return pairs(t, std::make_index_sequence<KEYS_MOST>());
    }
}

void scoped_dines(keys_thread *t)
{
    while (!keys_stopped(t)) {
        std::scoped_lock held(forks[t->seat].m, forks[(t->seat + 1) % t->seats].m);
        t->meals[t->seat]++;
        t->done++;
    }
}

void lock_dines(keys_thread *t)
{
    while (!keys_stopped(t)) {
        std::mutex &left = forks[t->seat].m, &right = forks[(t->seat + 1) % t->seats].m;
        std::lock(left, right);
        t->meals[t->seat]++;
        t->done++;
        left.unlock();
        right.unlock();
    }
}

} // namespace

extern "C" {
extern const keys_peer keys_peers_std[];
const keys_peer keys_peers_std[] = {
    {"std::scoped_lock", sets, scoped_dines},
    {"std::lock", nullptr, lock_dines},
    {nullptr, nullptr, nullptr},
};
}
