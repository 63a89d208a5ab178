/* Making and opening a segment as shipped, by processes that may be killed at any step: two that
 * open the name and make it if it is not there, and one that only opens it.  Whoever gets a handle
 * has a whole segment, everybody the same one; a death leaves no name behind that leads to half of
 * one. With STALE the name leads at first to a segment from before the last boot.
 *
 * Sources: @segment
 * Run: --deaths 2
 * Run: --deaths 1 -DSTALE
 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cache/section.h"
#include "files.h"
#include "seam.h"

enum { CREATORS = 2, PROCESSES = 3 };

/* ---- what stands on a segment
 * ----------------------------------------------------------------- */

int lki_presence_new(struct lki_presence **out, char *at, uint64_t offset, uint32_t threads,
                     size_t page_bytes, int fd, bool writable)
{
    (void)at, (void)offset, (void)threads, (void)page_bytes, (void)fd, (void)writable;
    *out = calloc(1, sizeof **out);
    return 0;
}

void lki_presence_put(struct lki_presence *p)
{
    free(p);
}

void lki_presence_close(int fd)
{
    (void)close(fd);
}

void lki_presence_unmapped(struct lki_presence *p)
{
    p->pages = NULL;
}

void lki_detach(struct lki_presence *p)
{
    (void)p;
}

void lki_section_sweep(void *owner, struct lki_self *self)
{
    (void)owner;
    (void)self;
}

/* ---- processes ------------------------------------------------------------------------------- */

#ifdef STALE
/* A whole segment but for the boot that it says. */
static void make_stale(void)
{
    struct lki_segment_spec spec = {.kind = LKI_KIND_CACHE, .threads = 1, .body_size = 4096};
    struct lki_segment s;
    assert(lki_segment_create(&s, "name", &spec) == 0);
    ((struct lki_header *)(void *)s.base)->boot_id[0] ^= 1;
    lki_segment_close(&s);
}
#endif

static int got[PROCESSES]; /* the file's number + 1 */

static void *process(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    struct lk_cache_options options = {.capacity_bytes = 64, .shards = 1, .threads = 1};
    lk_cache *c = NULL;
    options.flags = i < CREATORS ? LK_CACHE_CREATE : 0;
    lk_check_mortal(true);
    int rc = lk_cache_open(&c, "name", &options);
    if (rc != 0) {
        assert(i >= CREATORS && (rc == ENOENT || rc == LK_EBOOT));
        return arg;
    }
    struct lk_cache_options has;
    lk_cache_options_of(c, &has);
    assert(has.capacity_bytes == 64 && has.threads == 1);
    assert(c->key.sip[0] == SECRET && lk_cache_fd(c) != STALE_FILE + FIRST_FD);
    got[i] = lk_cache_fd(c) - FIRST_FD + 1;
    lk_cache_close(c);
    return arg;
}

int main(void)
{
    pthread_t id[PROCESSES];
    int same = 0;
#ifdef STALE
    make_stale();
#endif
    for (uintptr_t i = 0; i < PROCESSES; i++)
        pthread_create(&id[i], NULL, process, (void *)i);
    for (int i = 0; i < PROCESSES; i++)
        pthread_join(id[i], NULL);
    for (int i = 0; i < PROCESSES; i++) {
        assert(same == 0 || got[i] == 0 || got[i] == same);
        same = got[i] != 0 ? got[i] : same;
    }
    assert(same == 0 || named() == same); /* nobody took it away again */
    return 0;
}
