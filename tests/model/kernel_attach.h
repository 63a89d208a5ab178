/* kernel_attach.h - what src/life/attach.c asks of the kernel: its token's page mapped once more,
 * and record locks.  SLOTS is how many slots there are. */
#ifndef MODEL_KERNEL_ATTACH_H
#define MODEL_KERNEL_ATTACH_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "latchkey/check.h"

enum { PAGE = 2048 };

static char pages[PAGE] __attribute__((aligned(64)));

/* A thread maps its token's page once more; here it comes to lie where it lay. */
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    (void)at, (void)size, (void)protection, (void)flags, (void)fd, (void)offset;
    return pages;
}

int munmap(void *at, size_t size)
{
    (void)at, (void)size;
    return 0;
}

int close(int fd)
{
    (void)fd;
    return 0;
}

int pthread_mutex_lock(pthread_mutex_t *own)
{
    (void)own;
    return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *own)
{
    (void)own;
    return 0;
}

int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    (void)prepare, (void)parent, (void)child;
    return 0;
}

/* Record locks on bytes of the file, given back when their process is gone. */
static int byte_owner[SLOTS];

static int lock_byte(const struct flock *range)
{
    int *owner = &byte_owner[range->l_start];
    int me = (int)lk_check_thread() + 1, seen = 0;
    if (range->l_type == F_UNLCK) {
        __atomic_store_n(owner, 0, __ATOMIC_RELEASE);
        return 0;
    }
    if (__atomic_compare_exchange_n(owner, &seen, me, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE) ||
        (lk_check_dead((unsigned)seen - 1) &&
         __atomic_compare_exchange_n(owner, &seen, me, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)))
        return 0;
    errno = EAGAIN;
    return -1;
}

int fcntl(int fd, int command, ...)
{
    va_list args;
    int rc = fd;
    va_start(args, command);
    if (command == F_SETLK)
        rc = lock_byte(va_arg(args, const struct flock *));
    va_end(args);
    return rc;
}

#endif
