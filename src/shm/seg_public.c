/* seg_public.c - latchkey/seg.h over segment.h. */
#include "latchkey/seg.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "shm/segment.h"

struct lk_seg {
    struct lki_segment segment;
};

/* Give the handle to the caller if its segment was made. */
static int hand_out(lk_seg **out, lk_seg *s, int rc)
{
    if (rc == 0)
        *out = s;
    else
        free(s);
    return rc;
}

/* Memory for a handle whose segment is yet to be made. */
static lk_seg *handle(void)
{
    lk_seg *s = calloc(1, sizeof *s);
    if (s == NULL)
        (void)lki_fail(ENOMEM, "no memory for a handle");
    return s;
}

static int make(lk_seg **out, const char *name, size_t size, unsigned threads)
{
    struct lki_segment_spec spec = {.kind = LKI_KIND_MEMORY,
                                    .threads = threads == 0 ? LK_SEG_THREADS_DEFAULT : threads,
                                    .body_size = size};
    if (size == 0 || spec.threads > LK_SEG_THREADS_MAX)
        return lki_fail(EINVAL, "segment of %zu bytes for %u threads: out of range", size, threads);
    lk_seg *s = handle();
    return s != NULL ? hand_out(out, s, lki_segment_create(&s->segment, name, &spec)) : ENOMEM;
}

int lk_seg_create(lk_seg **out, const char *name, size_t size, unsigned threads)
{
    int rc = lki_name_check(name);
    return rc != 0 ? rc : make(out, name, size, threads);
}

int lk_seg_create_anonymous(lk_seg **out, size_t size, unsigned threads)
{
    return make(out, NULL, size, threads);
}

int lk_seg_open(lk_seg **out, const char *name)
{
    lk_seg *s = handle();
    return s != NULL ? hand_out(out, s, lki_segment_open(&s->segment, name, LKI_KIND_MEMORY, true))
                     : ENOMEM;
}

int lk_seg_open_fd(lk_seg **out, int fd)
{
    lk_seg *s = handle();
    return s != NULL ? hand_out(out, s, lki_segment_open_fd(&s->segment, fd, LKI_KIND_MEMORY))
                     : ENOMEM;
}

int lk_seg_fd(const lk_seg *s)
{
    return s->segment.fd;
}

void *lk_seg_memory(const lk_seg *s)
{
    return s->segment.body;
}

size_t lk_seg_size(const lk_seg *s)
{
    return s->segment.body_size;
}

void lk_seg_detach(lk_seg *s)
{
    lki_detach(s->segment.presence);
}

void lk_seg_close(lk_seg *s)
{
    if (s == NULL)
        return;
    lki_segment_close(&s->segment);
    free(s);
}
