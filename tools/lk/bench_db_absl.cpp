// bench_db_absl.cpp - absl::btree_map, for lk db bench.
#include <cstdio>
#include <utility>

#include <absl/base/options.h>
#include <absl/container/btree_map.h>

#include "bench_db.h"

namespace
{

using map = absl::btree_map<int64_t, uint64_t>;

int reset(db_peer *p, const db_load *)
{
    delete static_cast<map *>(p->state);
    p->state = new map;
#ifdef ABSL_LTS_RELEASE_VERSION
    std::snprintf(p->version, sizeof p->version, "LTS %d", ABSL_LTS_RELEASE_VERSION);
#endif
    return 0;
}

int fill(db_peer *p, const db_load *load, bool append)
{
    map &m = *static_cast<map *>(p->state);
    for (uint64_t i = 0; i < load->n; i++) {
        uint64_t k = append ? i : load->shuffled[i];
        if (append)
            m.emplace_hint(m.end(), static_cast<int64_t>(k), db_value(k));
        else
            m.emplace(static_cast<int64_t>(k), db_value(k));
    }
    return m.size() == load->n ? 0 : 1;
}

int get(db_peer *p, const db_load *load, uint64_t n, uint64_t *sum)
{
    const map &m = *static_cast<map *>(p->state);
    for (uint64_t i = 0; i < n; i++) {
        auto at = m.find(load->asked[i]);
        if (at == m.end())
            return 1;
        *sum += at->second;
    }
    return 0;
}

int scan(db_peer *p, const db_load *, uint64_t *sum)
{
    for (const auto &entry : *static_cast<map *>(p->state))
        *sum += entry.second;
    return 0;
}

int range(db_peer *p, const db_load *load, uint64_t n, uint64_t *sum)
{
    const map &m = *static_cast<map *>(p->state);
    for (uint64_t i = 0; i < n; i++) {
        auto at = m.lower_bound(load->asked[i]);
        for (int k = 0; k < DB_RANGE && at != m.end(); k++, ++at)
            *sum += at->second;
    }
    return 0;
}

void close(db_peer *p)
{
    delete static_cast<map *>(p->state);
    p->state = nullptr;
}

} // namespace

extern "C" {
extern const db_peer db_peer_absl;
const db_peer db_peer_absl = {"absl::btree_map",
                              "a map in memory, no transactions",
                              reset,
                              fill,
                              get,
                              scan,
                              range,
                              nullptr,
                              nullptr,
                              close,
                              true,
                              0,
                              "",
                              "",
                              nullptr};
}
