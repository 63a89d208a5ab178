/* files.h - the smallest file system that src/shm can stand on: one directory with one name, a few
 * files.  A call that changes what others see is one atomic step, as in the kernel; a file's bytes
 * are plain memory, so that reading what was not published is a race. */
#ifndef MODEL_FILES_H
#define MODEL_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "latchkey/check.h"
#include "shm/segment.h"

enum { MODEL_PAGE = 4096, FILE_BYTES = 3 * MODEL_PAGE, FILES = 4, STALE_FILE = 0 };
enum { BOOT_FD = 3, DIRECTORY_FD = 4, FIRST_FD = 10 };
#define SECRET 0x5a5a5a5a5a5a5a5aull

static struct file {
    _Alignas(64) char bytes[FILE_BYTES];
    off_t size;
    int locked_by; /* flock: the process's number + 1 */
} files[FILES];
static int name_leads_to; /* a file's number + 1; 0 = there is no such name */

static int named(void)
{
    return __atomic_load_n(&name_leads_to, __ATOMIC_ACQUIRE);
}

static struct file *file_of(int fd)
{
    return &files[fd - FIRST_FD];
}

static int fail_with(int error)
{
    errno = error;
    return -1;
}

int open(const char *path, int flags, ...)
{
    (void)flags;
    return strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? BOOT_FD : DIRECTORY_FD;
}

/* A new unnamed file is the calling process's own: the one of its number. */
int openat(int dir, const char *name, int flags, ...)
{
    (void)dir;
    (void)name;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return FIRST_FD + (int)lk_check_thread();
    int to = named();
    return to != 0 ? FIRST_FD + to - 1 : fail_with(ENOENT);
}

int close(int fd)
{
    int me = (int)lk_check_thread() + 1;
    if (fd >= FIRST_FD && __atomic_load_n(&file_of(fd)->locked_by, __ATOMIC_RELAXED) == me)
        __atomic_store_n(&file_of(fd)->locked_by, 0, __ATOMIC_RELEASE);
    return 0;
}

ssize_t read(int fd, void *buf, size_t n)
{
    (void)fd;
    memset(buf, 'b', n < 36 ? n : 36);
    return 36;
}

ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
    memcpy(buf, file_of(fd)->bytes + at, n);
    return (ssize_t)n;
}

int fcntl(int fd, int command, ...)
{
    return command == F_GETFL ? O_RDWR : fd;
}

/* Blocks while another has the lock; the kernel takes it back from the dead. */
int flock(int fd, int operation)
{
    int *by = &file_of(fd)->locked_by, me = (int)lk_check_thread() + 1;
    (void)operation;
    for (;;) {
        int seen = 0;
        if (__atomic_compare_exchange_n(by, &seen, me, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE) ||
            (lk_check_dead((unsigned)seen - 1) &&
             __atomic_compare_exchange_n(by, &seen, me, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)))
            return 0;
    }
}

static int describe(int number, struct stat *st)
{
    memset(st, 0, sizeof *st);
    st->st_uid = geteuid();
    st->st_nlink = 1;
    st->st_ino = (ino_t)number;
    st->st_mode = number < 0 ? S_IFDIR | 0700 : S_IFREG | 0600;
    st->st_size = number < 0 ? 0 : files[number].size;
    return 0;
}

int fstat(int fd, struct stat *st)
{
    return describe(fd - FIRST_FD, st);
}

int fstatat(int dir, const char *name, struct stat *st, int flags)
{
    int to = named();
    (void)dir, (void)name, (void)flags;
    return to != 0 ? describe(to - 1, st) : fail_with(ENOENT);
}

int faccessat(int dir, const char *name, int mode, int flags)
{
    (void)dir, (void)name, (void)mode, (void)flags;
    return named() != 0 ? 0 : fail_with(ENOENT);
}

int linkat(int from, const char *path, int dir, const char *name, int flags)
{
    int none = 0;
    (void)path, (void)dir, (void)name, (void)flags;
    return __atomic_compare_exchange_n(&name_leads_to, &none, from - FIRST_FD + 1, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
               ? 0
               : fail_with(EEXIST);
}

int unlinkat(int dir, const char *name, int flags)
{
    (void)dir, (void)name, (void)flags;
    return __atomic_exchange_n(&name_leads_to, 0, __ATOMIC_ACQ_REL) != 0 ? 0 : fail_with(ENOENT);
}

int mkdir(const char *path, mode_t mode)
{
    (void)path, (void)mode;
    return fail_with(EEXIST);
}

int posix_fallocate(int fd, off_t at, off_t n)
{
    file_of(fd)->size = at + n;
    return n <= FILE_BYTES ? 0 : ENOSPC;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    (void)at, (void)size, (void)protection, (void)flags;
    return file_of(fd)->bytes + offset;
}

int munmap(void *at, size_t size)
{
    (void)at, (void)size;
    return 0;
}

int memfd_create(const char *name, unsigned flags)
{
    (void)name, (void)flags;
    return fail_with(ENOSYS);
}

ssize_t getrandom(void *buf, size_t n, unsigned flags)
{
    (void)flags;
    memset(buf, (int)(SECRET & 0xff), n);
    return (ssize_t)n;
}

long sysconf(int name)
{
    (void)name;
    return MODEL_PAGE;
}

#endif
