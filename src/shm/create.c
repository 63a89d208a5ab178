/* create.c - making a segment that nobody can see before it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/error.h"
#include "shm/header.h"
#include "shm/segment.h"

static int random_bytes(void *out, size_t n)
{
    char *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

static int make_header(struct lki_header *h, const struct lki_segment_spec *spec)
{
    memset(h, 0, sizeof *h);
    h->magic = LKI_MAGIC;
    h->layout_version = LKI_LAYOUT_VERSION;
    h->abi = lki_abi();
    h->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
    h->kind = spec->kind;
    h->threads = spec->threads;
    h->body_size = spec->body_size;
    memcpy(h->params, spec->params, sizeof h->params);
    if (!lki_header_file_size(h, &h->file_size))
        return lki_fail(ENOSPC, "a segment of %llu bytes is too large",
                        (unsigned long long)spec->body_size);
    int rc = lki_boot_id(h->boot_id);
    return rc != 0 ? rc : random_bytes(h->key, sizeof h->key);
}

/* An unnamed file in the directory; a file system that has none (O_TMPFILE) is refused: a hidden
 * name would stay behind when we are killed. */
static int unnamed_file(int dir, const char *name, int *out)
{
    int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return lki_fail(errno, "segment '%s': cannot make a file: %s", name,
                        strerrordesc_np(errno));
    *out = fd;
    return 0;
}

static int link_file(int fd, int dir, const char *name)
{
    char path[64];
    if (linkat(fd, "", dir, name, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno == EEXIST)
        return lki_fail(EEXIST, "segment '%s' exists", name);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno == EEXIST)
        return lki_fail(EEXIST, "segment '%s' exists", name);
    return lki_fail(errno, "segment '%s': cannot link: %s", name, strerrordesc_np(errno));
}

/* Give the file its blocks, fill it in, leave it mapped. */
static int fill_file(struct lki_segment *s, int fd, const struct lki_header *h,
                     const struct lki_segment_spec *spec, const char *name)
{
    int rc;
    do
        rc = posix_fallocate(fd, 0, (off_t)h->file_size); /* ENOSPC here, not SIGBUS later */
    while (rc == EINTR);
    if (rc != 0)
        return lki_fail(rc, "segment '%s': cannot allocate %llu bytes: %s", name,
                        (unsigned long long)h->file_size, strerrordesc_np(rc));
    rc = lki_segment_map(s, fd, h, true);
    if (rc != 0)
        return rc;
    memcpy(s->base, h, sizeof *h);
    if (spec->fill != NULL)
        spec->fill(s->body, h);
    return 0;
}

static int create_named(struct lki_segment *s, const char *name, const struct lki_header *h,
                        const struct lki_segment_spec *spec)
{
    int dir = -1;
    int fd = -1;
    int rc = lki_directory_open(&dir, true);
    if (rc != 0)
        return rc;
    rc = faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0
             ? lki_fail(EEXIST, "segment '%s' exists", name)
             : unnamed_file(dir, name, &fd);
    if (rc != 0)
        goto undo_directory;
    rc = fill_file(s, fd, h, spec, name);
    if (rc != 0)
        goto undo_file;
    rc = link_file(fd, dir, name);
    if (rc != 0) {
        lki_segment_close(s);
        fd = -1;
    }
undo_file:
    if (rc != 0 && fd >= 0)
        (void)close(fd);
undo_directory:
    (void)close(dir);
    return rc;
}

static int create_memfd(struct lki_segment *s, const struct lki_header *h,
                        const struct lki_segment_spec *spec)
{
    int fd = memfd_create("latchkey", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return lki_fail(errno, "cannot make a memfd: %s", strerrordesc_np(errno));
    int rc = fill_file(s, fd, h, spec, "(memfd)");
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        rc = lki_fail(errno, "cannot seal a memfd: %s", strerrordesc_np(errno));
        lki_segment_close(s);
    }
    return rc;
}

int lki_segment_create(struct lki_segment *s, const char *name, const struct lki_segment_spec *spec)
{
    struct lki_header header;
    int rc = name == NULL ? 0 : lki_name_check(name);
    if (rc == 0)
        rc = make_header(&header, spec);
    if (rc != 0)
        return rc;
    return name == NULL ? create_memfd(s, &header, spec) : create_named(s, name, &header, spec);
}
