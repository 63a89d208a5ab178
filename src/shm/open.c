/* open.c - attaching a segment: every check, then one mapping. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "latchkey/seg.h"
#include "shm/header.h"
#include "shm/segment.h"

uint32_t lki_abi(void)
{
    return 0x01020304u ^ (uint32_t)sizeof(void *);
}

static int hex_digit(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

int lki_boot_id(uint8_t id[16])
{
    char text[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        (void)close(fd);
    memset(id, 0, 16); /* without /proc all boots are one */
    size_t digits = 0;
    for (ssize_t i = 0; i < n && digits < 32; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            continue;
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
        digits++;
    }
    return 0;
}

bool lki_header_file_size(const struct lki_header *h, uint64_t *size)
{
    uint64_t page = h->page_bytes;
    if (h->threads < 1 || h->threads > LK_SEG_THREADS_MAX || page < 4096 || page > 65536 ||
        (page & (page - 1)) != 0 || h->body_size == 0 || h->body_size > (uint64_t)1 << 46)
        return false;
    uint64_t body = (h->body_size + page - 1) & ~(page - 1);
    *size = page + lki_presence_bytes(h->threads, page) + body;
    return true;
}

int lki_segment_map(struct lki_segment *s, int fd, const struct lki_header *h, bool writable)
{
    int protection = PROT_READ | (writable ? PROT_WRITE : 0);
    size_t before = h->page_bytes + lki_presence_bytes(h->threads, h->page_bytes);
    char *base = mmap(NULL, h->file_size, protection, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return lki_fail(errno, "cannot map %llu bytes: %s", (unsigned long long)h->file_size,
                        strerrordesc_np(errno));
    struct lki_presence *presence = NULL;
    int rc = lki_presence_new(&presence, base + h->page_bytes, h->page_bytes, h->threads,
                              h->page_bytes, fd, writable);
    if (rc != 0) {
        (void)munmap(base, h->file_size);
        return lki_fail(rc, "cannot attach: %s", strerrordesc_np(rc));
    }
    presence->begin = base;
    presence->end = base + h->file_size;
    *s = (struct lki_segment){.base = base,
                              .size = h->file_size,
                              .body = base + before,
                              .body_size = h->body_size,
                              .fd = fd,
                              .writable = writable,
                              .header = *h,
                              .presence = presence};
    return 0;
}

void lki_segment_close(struct lki_segment *s)
{
    lki_detach(s->presence);
    lki_presence_unmapped(s->presence);
    (void)munmap(s->base, s->size);
    lki_presence_put(s->presence);
    lki_presence_close(s->fd);
    memset(s, 0, sizeof *s);
    s->fd = -1;
}

static int check_file(const struct stat *st, const char *name, bool named)
{
    if (!S_ISREG(st->st_mode))
        return lki_fail(LK_ETYPE, "segment '%s': not a regular file", name);
    if (st->st_uid != geteuid())
        return lki_fail(LK_EOWNER, "segment '%s': belongs to uid %lu, not to %lu", name,
                        (unsigned long)st->st_uid, (unsigned long)geteuid());
    if (named && (st->st_mode & 077) != 0)
        return lki_fail(LK_EMODE, "segment '%s': has mode %04o; it must be 0600", name,
                        (unsigned)(st->st_mode & 07777));
    if (named && st->st_nlink > 1)
        return lki_fail(LK_ELINKS, "segment '%s': the file has %lu names", name,
                        (unsigned long)st->st_nlink);
    if ((uint64_t)st->st_size < sizeof(struct lki_header))
        return lki_fail(LK_ESIZE, "segment '%s': %lld bytes are too few for a header", name,
                        (long long)st->st_size);
    return 0;
}

static int check_header(const struct lki_header *h, uint64_t file_size, const char *name,
                        uint32_t kind)
{
    uint64_t size = 0;
    uint8_t boot[16];
    if (h->magic != LKI_MAGIC)
        return lki_fail(LK_ENOTSEG, "segment '%s': not a latchkey segment", name);
    if (h->abi != lki_abi() || h->page_bytes != (uint32_t)sysconf(_SC_PAGESIZE))
        return lki_fail(LK_EABI, "segment '%s': ABI tag %08x and page size %u, here %08x and %ld",
                        name, h->abi, h->page_bytes, lki_abi(), sysconf(_SC_PAGESIZE));
    if (h->layout_version != LKI_LAYOUT_VERSION)
        return lki_fail(LK_EVERSION, "segment '%s': layout version %u, here %d", name,
                        h->layout_version, LKI_LAYOUT_VERSION);
    if (!lki_header_file_size(h, &size) || size != h->file_size || size != file_size)
        return lki_fail(LK_ESIZE, "segment '%s': the file has %llu bytes, its geometry says %llu",
                        name, (unsigned long long)file_size, (unsigned long long)size);
    int rc = lki_boot_id(boot);
    if (rc == 0 && memcmp(boot, h->boot_id, sizeof boot) != 0)
        return lki_fail(LK_EBOOT, "segment '%s': made before the last boot", name);
    if (kind != 0 && h->kind != kind)
        return lki_fail(LK_EKIND, "segment '%s': holds %s", name,
                        h->kind == LKI_KIND_CACHE    ? "a cache"
                        : h->kind == LKI_KIND_MEMORY ? "plain memory"
                                                     : "something unknown");
    return rc;
}

/* Read and check the header behind fd. */
static int read_header(int fd, const char *name, bool named, uint32_t kind, struct lki_header *h)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return lki_fail(errno, "segment '%s': cannot stat: %s", name, strerrordesc_np(errno));
    int rc = check_file(&st, name, named);
    if (rc != 0)
        return rc;
    if (pread(fd, h, sizeof *h, 0) != (ssize_t)sizeof *h)
        return lki_fail(LK_ESIZE, "segment '%s': cannot read the header", name);
    return check_header(h, (uint64_t)st.st_size, name, kind);
}

static int open_name(const char *name, int flags, int *out)
{
    int dir = -1;
    int rc = lki_name_check(name);
    if (rc == 0)
        rc = lki_directory_open(&dir, false);
    if (rc != 0)
        return rc;
    int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        rc = errno;
        rc = rc == ELOOP || rc == EISDIR || rc == ENXIO
                 ? lki_fail(LK_ETYPE, "segment '%s': not a regular file", name)
                 : lki_fail(rc, "segment '%s': cannot open: %s", name, strerrordesc_np(rc));
    }
    (void)close(dir);
    *out = fd;
    return rc;
}

int lki_segment_open(struct lki_segment *s, const char *name, uint32_t kind, bool writable)
{
    struct lki_header header = {0};
    int fd = -1;
    int rc = open_name(name, writable ? O_RDWR : O_RDONLY, &fd);
    if (rc != 0)
        return rc;
    rc = read_header(fd, name, true, kind, &header);
    if (rc == 0)
        rc = lki_segment_map(s, fd, &header, writable);
    if (rc != 0)
        lki_presence_close(fd);
    return rc;
}

int lki_segment_open_fd(struct lki_segment *s, int fd, uint32_t kind)
{
    struct lki_header header = {0};
    int mode = fcntl(fd, F_GETFL);
    if (mode < 0)
        return lki_fail(EBADF, "descriptor %d is not open", fd);
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return lki_fail(errno, "cannot duplicate descriptor %d: %s", fd, strerrordesc_np(errno));
    int rc = read_header(own, "(descriptor)", false, kind, &header);
    if (rc == 0)
        rc = lki_segment_map(s, own, &header, (mode & O_ACCMODE) == O_RDWR);
    if (rc != 0)
        lki_presence_close(own);
    return rc;
}

/* Is `fd` still what the name leads to? */
static bool same_file(int dir, const char *name, int fd)
{
    struct stat a;
    struct stat b;
    return fstat(fd, &a) == 0 && fstatat(dir, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int lki_segment_unlink_stale(const char *name)
{
    struct lki_header header = {0};
    int fd = -1;
    int dir = -1;
    int rc = open_name(name, O_RDWR, &fd);
    if (rc != 0)
        return rc == ENOENT ? 0 : rc;
    rc = lki_directory_open(&dir, false);
    if (rc != 0)
        goto undo_file;
    /* Of several that find it stale one holds the lock of this very file and unlinks it; the others
     * then see that the name leads elsewhere.  The kernel frees the lock of a dead one. */
    while (flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR) {
            rc = lki_fail(errno, "segment '%s': cannot lock: %s", name, strerrordesc_np(errno));
            goto undo_directory;
        }
    }
    if (same_file(dir, name, fd) && read_header(fd, name, true, 0, &header) == LK_EBOOT &&
        unlinkat(dir, name, 0) != 0)
        rc = lki_fail(errno, "segment '%s': cannot unlink: %s", name, strerrordesc_np(errno));
undo_directory:
    (void)close(dir);
undo_file:
    lki_presence_close(fd);
    return rc;
}
