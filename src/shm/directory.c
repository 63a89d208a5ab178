/* directory.c - the private directory of segment names, and what a name may be. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "latchkey/seg.h"
#include "shm/segment.h"

int lki_name_check(const char *name)
{
    size_t length = name == NULL ? 0 : strnlen(name, LK_SEG_NAME_MAX + 1);
    if (length == 0)
        return lki_fail(LK_ENAME, "segment name is empty");
    if (length > LK_SEG_NAME_MAX)
        return lki_fail(LK_ENAME, "segment name '%.32s...' is longer than %d bytes", name,
                        LK_SEG_NAME_MAX);
    if (name[0] == '.')
        return lki_fail(LK_ENAME, "segment name '%s' begins with a dot", name);
    for (size_t i = 0; i < length; i++) {
        unsigned char ch = (unsigned char)name[i];
        if (ch == '/')
            return lki_fail(LK_ENAME, "segment name '%s' has a slash", name);
        if (ch < 0x20 || ch == 0x7f)
            return lki_fail(LK_ENAME, "segment name has a control byte 0x%02x at %zu", ch, i);
    }
    return 0;
}

int lk_seg_directory(char *buf, size_t capacity)
{
    const char *set = getenv("LK_DIR");
    int n = set != NULL && set[0] != '\0'
                ? snprintf(buf, capacity, "%s", set)
                : snprintf(buf, capacity, "/dev/shm/latchkey-%lu", (unsigned long)geteuid());
    return n >= 0 && (size_t)n < capacity ? 0 : ENAMETOOLONG;
}

static int check_directory(int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return lki_fail(errno, "%s: cannot stat: %s", path, strerrordesc_np(errno));
    if (st.st_uid != geteuid())
        return lki_fail(LK_EOWNER, "%s: directory belongs to uid %lu, not to %lu", path,
                        (unsigned long)st.st_uid, (unsigned long)geteuid());
    if ((st.st_mode & 077) != 0)
        return lki_fail(LK_EMODE, "%s: directory has mode %04o; it must be 0700", path,
                        (unsigned)(st.st_mode & 07777));
    return 0;
}

int lki_directory_open(int *out, bool make)
{
    char path[4096];
    int rc = lk_seg_directory(path, sizeof path);
    if (rc != 0)
        return lki_fail(rc, "$LK_DIR is longer than %zu bytes", sizeof path - 1);
    if (make && mkdir(path, 0700) != 0 && errno != EEXIST)
        return lki_fail(errno, "%s: cannot make the directory: %s", path, strerrordesc_np(errno));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        rc = errno;
        if (rc == ELOOP || rc == ENOTDIR)
            return lki_fail(LK_ETYPE, "%s: not a directory (a symbolic link is not followed)",
                            path);
        return lki_fail(rc, "%s: cannot open: %s", path, strerrordesc_np(rc));
    }
    rc = check_directory(fd, path);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

int lk_seg_unlink(const char *name)
{
    int dir = -1;
    int rc = lki_name_check(name);
    if (rc == 0)
        rc = lki_directory_open(&dir, false);
    if (rc != 0)
        return rc;
    if (unlinkat(dir, name, 0) != 0)
        rc = errno == EISDIR || errno == EPERM
                 ? lki_fail(LK_ETYPE, "segment '%s': is a directory", name)
                 : lki_fail(errno, "segment '%s': cannot unlink: %s", name, strerrordesc_np(errno));
    (void)close(dir);
    return rc;
}

static int each_entry(DIR *stream, int (*each)(const char *name, void *arg), void *arg)
{
    struct dirent *entry;
    int rc = 0;
    while (rc == 0 && (entry = readdir(stream)) != NULL) {
        if (lki_name_check(entry->d_name) == 0)
            rc = each(entry->d_name, arg);
    }
    return rc;
}

int lk_seg_each_name(int (*each)(const char *name, void *arg), void *arg)
{
    int dir = -1;
    int rc = lki_directory_open(&dir, false);
    if (rc == ENOENT)
        return 0;
    if (rc != 0)
        return rc;
    DIR *stream = fdopendir(dir);
    if (stream == NULL) {
        (void)close(dir);
        return lki_fail(ENOMEM, "cannot read the segment directory");
    }
    rc = each_entry(stream, each, arg);
    (void)closedir(stream);
    return rc;
}
