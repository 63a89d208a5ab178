/* bench_keys_ours.h - the peers in C of lk bench keys. */
#ifndef LK_BENCH_KEYS_OURS_H
#define LK_BENCH_KEYS_OURS_H

#include "bench_keys.h"

extern const struct keys_peer keys_peers_ours[];
keys_fn keys_nothing, keys_take_and_give, keys_order_off, keys_order_on;

#endif
