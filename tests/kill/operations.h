/* operations.h - the operations of a cache that are killed: what the cache holds before, what the
 * thread that will die does before it is watched, and the act. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include <stdbool.h>

#include "cache/layout.h"
#include "latchkey/cache.h"
#include "singlestep.h"
#include "survivor.h"

struct operation {
    const char *name;
    void (*furnish)(lk_cache *c); /* NULL: the operation comes after a death */
    void (*prepare)(lk_cache *c);
    void (*operate)(lk_cache *c);
    struct lk_cache_options options;
    bool changes_nothing; /* that readers see */
};

/* The last has no name. */
extern const struct operation operations[];
const struct operation *operation_named(const char *name);

struct lk_cache_options operation_options(const struct operation *op);

/* An operation on a cache, as a role to be killed in. */
struct acted {
    const struct operation *op;
    lk_cache *cache;
};
struct role operation_role(struct acted *a);

/* What readers see before the operation, and when it is done; found out on copies, so that
 * looking leaves no trace. */
void operation_pictures(const struct operation *op, struct survivor *v, const char *segment,
                        struct picture *before, struct picture *after);

#endif
