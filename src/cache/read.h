/* read.h - one read of one key, shared by get, get_many and lease. */
#ifndef LKI_READ_H
#define LKI_READ_H

#include "cache/index.h"
#include "latchkey/cache.h"

struct lki_read {
    void *buf;
    size_t capacity;
    struct lk_cache_entry entry; /* out */
    bool stale;                  /* out: it is there and has expired */
    bool take_stale;             /* in: copy an expired value too */
};

/* 0 or EINVAL. */
int lki_key_make(const struct lk_cache *c, struct lki_key *key, const void *bytes, size_t size);

/* Look the key up and copy its value.  Returns 0, ENOENT, ENOBUFS, LK_ECORRUPT, EAGAIN. */
int lki_read(struct lk_cache *c, const struct lki_key *key, struct lki_read *read);

/* Count a hit or a miss by the read's result. */
void lki_read_count(struct lk_cache *c, int rc);

/* When an entry with this time to live expires; `old_ns`: LK_TTL_KEEP gives that. */
uint64_t lki_expiry(const struct lk_cache *c, uint64_t ttl_ns, uint64_t old_ns);

#endif
