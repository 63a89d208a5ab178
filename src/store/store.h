/* store.h - the stores that there are, and what they share. */
#ifndef LKI_STORE_H
#define LKI_STORE_H

#include "base/error.h"
#include "latchkey/store.h"

extern const struct lk_store_ops lki_store_mem, lki_store_fault;
/* Where the build found their libraries' headers. */
extern const struct lk_store_ops lki_store_lmdb, lki_store_postgresql;

/* Functions of a shared library, looked up by name: fills n pointers from `table` of (name, place).
 * The library stays loaded. */
struct lki_symbol {
    const char *name;
    void *place; /* of a function pointer */
};
int lki_library_open(const char *const *files, const struct lki_symbol *symbols, size_t n);

/* Wait a little, never past the deadline.  False: it has passed (or there is none to wait for). */
bool lki_store_nap(const struct timespec *deadline);

#endif
