/* Attaching and detaching as shipped: two processes and a slot or two, deaths at any step.  Whoever
 * is attached has a slot of its own under a name that was never given before; a slot is given again
 * only after its thread has gone, and then what that thread wrote is visible; whoever sleeps until
 * somebody goes is woken.
 *
 * Sources: @life src/life/attach.c
 * Run: --deaths 0 -DSLOTS=1 -DWATCH=1
 * Run: --deaths 2 --no-leaks -DSLOTS=1 -DWATCH=0
 * Run: --deaths 1 --no-leaks -DSLOTS=2 -DWATCH=0
 */
#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "latchkey/err.h"
#include "life/presence.h"
#include "seam.h"

enum { PROCESSES = 2, PAGE = 2048 };

static char pages[PAGE] __attribute__((aligned(64)));

/* ---- the kernel ------------------------------------------------------------------------------ */

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

/* ---- processes ------------------------------------------------------------------------------- */

static struct lki_presence presence[PROCESSES + 1]; /* each process has its own */
static uint64_t given[SLOTS];                       /* names: only who has the slot touches it */
static bool swept[PROCESSES + 1];

static void sweep(void *owner, struct lki_self *self)
{
    (void)self;
    swept[(uintptr_t)owner] = true;
}

/* Sleep until the first holder of the first slot is gone, if it is there. */
static void wait_for_first(const struct lki_presence *p)
{
    const uint32_t *word;
    uint32_t value, name = 1u << 10 | 1;
    while (lki_holder_watch(p, name, &word, &value))
        (void)lki_futex_wait(word, value, NULL, 0, NULL);
    lki_holder_mourn(p, name);
}

static void *process(void *arg)
{
    struct lki_presence *p = &presence[(uintptr_t)arg];
    struct lki_self *self = NULL, *again = NULL;
    lk_check_mortal(true);
    int rc = lki_attach(p, &self);
    if (rc == LK_ETHREADS)
        return arg; /* the other has the last slot */
    assert(rc == 0);
    assert(lki_holder_alive(p, self->holder));
    assert(given[self->slot] < self->holder); /* generations rise */
    given[self->slot] = self->holder;
    lki_count(self, 0, 1);
    assert(lki_attach(p, &again) == 0 && again == self);
    if (arg == (void *)1)
        lki_detach(p); /* the other's end does it */
    return arg;
}

int main(void)
{
    pthread_t id[PROCESSES];
    struct lki_presence *made;
    assert(lki_presence_new(&made, pages, 0, SLOTS, PAGE, 3, true) == 0);
    for (uintptr_t i = 0; i <= PROCESSES; i++) {
        presence[i] = *made;
        presence[i].sweep = sweep;
        presence[i].owner = (void *)i;
    }
    for (uintptr_t i = 0; i < PROCESSES; i++)
        pthread_create(&id[i], NULL, process, (void *)(i + 1));
    if (WATCH)
        wait_for_first(&presence[0]);
    for (int i = 0; i < PROCESSES; i++)
        pthread_join(id[i], NULL);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        assert(lki_slot_state(&presence[0], slot) != LKI_SLOT_LIVE);
    lki_presence_put(made);
    return 0;
}
