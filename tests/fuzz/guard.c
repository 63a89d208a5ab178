/* guard.c - pages without access around the library's mapping.
 *
 * The library maps a segment where the kernel puts it.  The kernel takes the highest gap that is
 * large enough, so gaps above the hole are filled until a mapping of this size lands in the hole.
 * */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

enum { FILLERS_MAX = 64 };

static char *reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

bool fuzz_guard_set(struct fuzz_guard *g, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *fillers[FILLERS_MAX];
    unsigned count = 0;
    bool open = false;
    if (size == 0)
        return false;
    size = (size + page - 1) & ~(page - 1);
    *g = (struct fuzz_guard){.region = reserve(size + 2 * page), .size = size};
    if (g->region == NULL)
        return false;
    (void)munmap(g->region + page, size);
    while (!open && count < FILLERS_MAX) {
        char *lands = reserve(size);
        if (lands == NULL)
            return false;
        open = lands == g->region + page;
        fillers[count++] = lands;
    }
    /* The last one fills the hole: it is what makes room for the library. */
    if (open)
        (void)munmap(fillers[--count], size);
    /* Fillers stay for good, so gaps above the hole are filled only once. */
    return open;
}

bool fuzz_guard_holds(const struct fuzz_guard *g, const void *mapping)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return g->region != NULL && mapping == g->region + page;
}

void fuzz_guard_clear(struct fuzz_guard *g)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (g->region == NULL)
        return;
    (void)munmap(g->region, page);
    (void)munmap(g->region + page + g->size, page);
    g->region = NULL;
}
