/* store.c - finding the store that a URL names. */
#include "store/store.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"

static const struct lk_store_ops *const stores[] = {
    &lki_store_mem,
    &lki_store_fault,
#ifdef LK_HAVE_LMDB
    &lki_store_lmdb,
#endif
#ifdef LK_HAVE_POSTGRESQL
    &lki_store_postgresql,
#endif
};

int lk_store_open(lk_store *store, const char *url, const struct lk_store_options *options)
{
    static const struct lk_store_options defaults;
    if (options == NULL)
        options = &defaults;
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        size_t n = strlen(stores[i]->scheme);
        if (strncmp(url, stores[i]->scheme, n) != 0 || url[n] != ':')
            continue;
        void *at;
        /* A server's URL goes to its library whole. */
        int rc = stores[i]->open(&at, url[n + 1] == '/' && url[n + 2] == '/' ? url : url + n + 1,
                                 options);
        if (rc == 0)
            *store = (lk_store){stores[i], at};
        return rc;
    }
    return lki_fail(ENOTSUP, "no store is called '%s' in this build", url);
}

void lk_store_close(lk_store *store)
{
    if (store->ops != NULL)
        store->ops->close(store->at);
    *store = (lk_store){NULL, NULL};
}

int lki_library_open(const char *const *files, const struct lki_symbol *symbols, size_t n)
{
    void *library = NULL;
    for (size_t i = 0; library == NULL && files[i] != NULL; i++)
        library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return lki_fail(ENOTSUP, "%s", dlerror());
    for (size_t i = 0; i < n; i++) {
        void *found = dlsym(library, symbols[i].name);
        if (found == NULL)
            return lki_fail(ENOTSUP, "%s", dlerror());
        memcpy(symbols[i].place, &found, sizeof found);
    }
    return 0;
}

enum { NAP_NS = 2000000 };

bool lki_store_nap(const struct timespec *deadline)
{
    if (deadline == NULL)
        return false;
    struct timespec now = lki_timespec(lki_mono_ns());
    if (!lki_timespec_before(&now, deadline))
        return false;
    (void)nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    return true;
}
