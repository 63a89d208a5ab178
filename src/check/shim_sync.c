/* shim_sync.c - mutexes, conditions, rwlocks, barriers, spin locks, semaphores, once.
 *
 * Each object keeps its state in one word at its beginning, an atomic location like any other;
 * waiting for a lock is a read that stands still while the value does not suit it.  The rest of the
 * object is as glibc 2.36 lays it out, so that static initialisers work.  Zero bytes are an idle
 * object. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "hooks.h"
#include "shim.h"

static uint64_t wait_op(const struct fiber *f, void *p, unsigned size, enum ev_op op, uint64_t mask,
                        uint64_t operand, bool timed)
{
    struct access a = hook_access(f, p, size, MO_ACQ);
    a.op = (uint8_t)op;
    a.expected = mask;
    a.operand = operand;
    a.timed = timed;
    return explore_read(&a);
}

static void release(const struct fiber *f, void *p, unsigned size, uint64_t value)
{
    struct access a = hook_access(f, p, size, MO_REL);
    explore_write(&a, value);
}

/* The object's bytes become idle, by a plain write. */
static void init_object(const struct fiber *f, void *p, size_t size)
{
    plain_write((uintptr_t)p, size, lkc_trap_pc(f));
    memset(p, 0, size);
}

_Noreturn static void misuse(const struct fiber *f, const char *what)
{
    error_stop(LK_CHECK_MISUSE, lkc_trap_pc(f), "%s", what);
}

/* A choice that only some programs have: does the wait end by its deadline? */
static bool times_out(const struct fiber *f)
{
    return explore_choice(2, lkc_trap_pc(f)) == 1;
}

/* ---- mutex: owner + 1 | depth << 16 | DIED; 0 = free
 * ------------------------------------------- */

#define M_OWNER 0xffffu
#define M_DEPTH 0x10000u
#define M_DIED 0x40000000u
#define M_GONE 0x20000000u /* not recoverable */
#define M_HELD (~(M_DIED | M_GONE))
enum { KIND_RECURSIVE = 1, KIND_ERRORCHECK = 2, KIND_MASK = 3, KIND_ROBUST = 16 };

static int kind_of(const pthread_mutex_t *m)
{
    return m->__data.__kind;
}

int lkc_k_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_mutex_init)(m, attr);
    int type = 0, robust = 0;
    if (attr != NULL) {
        (void)pthread_mutexattr_gettype(attr, &type);
        (void)pthread_mutexattr_getrobust(attr, &robust);
    }
    init_object(f, m, sizeof *m); /* NOLINT(cert-fio38-c): not a FILE */
    m->__data.__kind = type | (robust == PTHREAD_MUTEX_ROBUST ? KIND_ROBUST : 0);
    return 0;
}

static uint32_t owner(const void *m)
{
    return (uint32_t)explore_peek((uintptr_t)m, 4);
}

int lkc_k_mutex_destroy(pthread_mutex_t *m)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_mutex_destroy)(m);
    if ((owner(m) & M_OWNER) != 0)
        misuse(f, "a mutex is destroyed while it is locked");
    return 0;
}

/* What follows from the word that the lock operation found. */
static int locked(struct fiber *f, pthread_mutex_t *m, uint32_t found)
{
    if (kind_of(m) & KIND_ROBUST)
        shim_robust_add(f, (uint32_t *)m, 4);
    if (found & M_GONE) {
        release(f, m, 4, M_GONE);
        shim_robust_remove(f, (const uint32_t *)m);
        return ENOTRECOVERABLE;
    }
    return found & M_DIED ? EOWNERDEAD : 0;
}

/* -1 = the thread does not hold it yet. */
static int lock_again(const struct fiber *f, pthread_mutex_t *m, bool try)
{
    uint32_t word = owner(m);
    if ((word & M_OWNER) != f->tid + 1)
        return -1;
    if ((kind_of(m) & KIND_MASK) == KIND_RECURSIVE) {
        struct access a = hook_access(f, m, 4, MO_RLX);
        explore_write(&a, word + M_DEPTH);
        return 0;
    }
    if (try)
        return EBUSY;
    return (kind_of(m) & KIND_MASK) == KIND_ERRORCHECK ? EDEADLK : -1;
}

static int lock(struct fiber *f, pthread_mutex_t *m)
{
    int rc = lock_again(f, m, false);
    return rc >= 0 ? rc
                   : locked(f, m, (uint32_t)wait_op(f, m, 4, OP_LOCK, M_HELD, f->tid + 1, false));
}

static int unlock(struct fiber *f, pthread_mutex_t *m)
{
    uint32_t word = owner(m);
    if ((word & M_OWNER) != f->tid + 1) {
        if ((kind_of(m) & KIND_MASK) != 0 || kind_of(m) & KIND_ROBUST)
            return EPERM;
        misuse(f, "a mutex is unlocked by a thread that does not hold it");
    }
    if ((word & M_HELD) >= M_DEPTH) {
        struct access a = hook_access(f, m, 4, MO_RLX);
        explore_write(&a, word - M_DEPTH);
    } else {
        release(f, m, 4, word & M_DIED ? M_GONE : 0);
        shim_robust_remove(f, (const uint32_t *)m);
    }
    return 0;
}

int lkc_k_mutex_lock(pthread_mutex_t *m)
{
    struct fiber *f = hook_enter();
    return f == NULL ? LKC_REAL(pthread_mutex_lock)(m) : lock(f, m);
}

int lkc_k_mutex_trylock(pthread_mutex_t *m)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_mutex_trylock)(m);
    int rc = lock_again(f, m, true);
    if (rc >= 0)
        return rc;
    uint32_t found = (uint32_t)wait_op(f, m, 4, OP_TRYLOCK, M_HELD, f->tid + 1, false);
    return found & M_HELD ? EBUSY : locked(f, m, found);
}

/* Times out only where the mutex is held. */
int lkc_k_mutex_timedlock(pthread_mutex_t *m, const struct timespec *until)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_mutex_timedlock)(m, until);
    int rc = lock_again(f, m, false);
    if (rc >= 0)
        return rc;
    if (times_out(f)) {
        (void)wait_op(f, m, 4, OP_WAIT_NOT, M_HELD, 0, true);
        return ETIMEDOUT;
    }
    return locked(f, m, (uint32_t)wait_op(f, m, 4, OP_LOCK, M_HELD, f->tid + 1, true));
}

int lkc_k_mutex_clocklock(pthread_mutex_t *m, clockid_t clock, const struct timespec *until)
{
    (void)clock;
    return lkc_k_mutex_timedlock(m, until);
}

int lkc_k_mutex_unlock(pthread_mutex_t *m)
{
    struct fiber *f = hook_enter();
    return f == NULL ? LKC_REAL(pthread_mutex_unlock)(m) : unlock(f, m);
}

int lkc_k_mutex_consistent(pthread_mutex_t *m)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_mutex_consistent)(m);
    uint32_t word = owner(m);
    if ((word & M_OWNER) != f->tid + 1 || !(word & M_DIED))
        return EINVAL;
    struct access a = hook_access(f, m, 4, MO_RLX);
    explore_write(&a, word & ~M_DIED);
    return 0;
}

/* ---- condition: one bit for each thread that waits
 * --------------------------------------------- */

int lkc_k_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_cond_init)(c, attr);
    init_object(f, c, sizeof *c); /* NOLINT(cert-fio38-c): not a FILE */
    return 0;
}

int lkc_k_cond_destroy(pthread_cond_t *c)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_cond_destroy)(c);
    if (explore_peek((uintptr_t)c, 8) != 0)
        misuse(f, "a condition is destroyed while a thread waits for it");
    return 0;
}

static int cond_wait(struct fiber *f, pthread_cond_t *c, pthread_mutex_t *m, bool timed)
{
    if ((owner(m) & M_OWNER) != f->tid + 1)
        misuse(f, "a thread waits for a condition without its mutex");
    shim_queue_enter(f, (uintptr_t)c, true);
    (void)unlock(f, m);
    bool early =
        (timed || lkc->opt.spurious_wakes) && times_out(f) && shim_queue_leave(f, (uintptr_t)c);
    if (!early)
        (void)shim_sleep(f, timed);
    int rc = lock(f, m);
    return rc == 0 && early && timed ? ETIMEDOUT : rc;
}

int lkc_k_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    struct fiber *f = hook_enter();
    return f == NULL ? LKC_REAL(pthread_cond_wait)(c, m) : cond_wait(f, c, m, false);
}

int lkc_k_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
    struct fiber *f = hook_enter();
    return f == NULL ? LKC_REAL(pthread_cond_timedwait)(c, m, until) : cond_wait(f, c, m, true);
}

int lkc_k_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                         const struct timespec *until)
{
    (void)clock;
    return lkc_k_cond_timedwait(c, m, until);
}

int lkc_k_cond_signal(pthread_cond_t *c)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_cond_signal)(c);
    (void)shim_wake(f, (uintptr_t)c, 1);
    return 0;
}

int lkc_k_cond_broadcast(pthread_cond_t *c)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_cond_broadcast)(c);
    (void)shim_wake(f, (uintptr_t)c, UINT32_MAX);
    return 0;
}

/* ---- rwlock: number of readers, or WRITER
 * ------------------------------------------------------ */

#define RW_WRITER 0x80000000u
#define RW_ANY 0xffffffffu

int lkc_k_rwlock_init(pthread_rwlock_t *l, const pthread_rwlockattr_t *attr)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_rwlock_init)(l, attr);
    init_object(f, l, sizeof *l);
    return 0;
}

int lkc_k_rwlock_destroy(pthread_rwlock_t *l)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_rwlock_destroy)(l);
    if (owner(l) != 0)
        misuse(f, "a reader-writer lock is destroyed while it is locked");
    return 0;
}

int lkc_k_rwlock_rdlock(pthread_rwlock_t *l)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_rwlock_rdlock)(l);
    (void)wait_op(f, l, 4, OP_LOCK, RW_WRITER, 1, false);
    return 0;
}

int lkc_k_rwlock_tryrdlock(pthread_rwlock_t *l)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_rwlock_tryrdlock)(l);
    return wait_op(f, l, 4, OP_TRYLOCK, RW_WRITER, 1, false) & RW_WRITER ? EBUSY : 0;
}

int lkc_k_rwlock_wrlock(pthread_rwlock_t *l)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_rwlock_wrlock)(l);
    (void)wait_op(f, l, 4, OP_LOCK, RW_ANY, RW_WRITER, false);
    return 0;
}

int lkc_k_rwlock_trywrlock(pthread_rwlock_t *l)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_rwlock_trywrlock)(l);
    return wait_op(f, l, 4, OP_TRYLOCK, RW_ANY, RW_WRITER, false) != 0 ? EBUSY : 0;
}

int lkc_k_rwlock_unlock(pthread_rwlock_t *l)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_rwlock_unlock)(l);
    uint32_t word = owner(l);
    if (word == 0)
        misuse(f, "a reader-writer lock is unlocked that nobody holds");
    if (word & RW_WRITER)
        release(f, l, 4, 0);
    else
        (void)hook_rmw(f, l, 4, MO_REL, OP_SUB, 1);
    return 0;
}

/* ---- barrier: arrived | phase << 32, and the count beside it
 * ----------------------------------- */

int lkc_k_barrier_init(pthread_barrier_t *b, const pthread_barrierattr_t *attr, unsigned count)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_barrier_init)(b, attr, count);
    init_object(f, b, sizeof *b);
    memcpy((char *)b + 8, &count, sizeof count);
    return 0;
}

int lkc_k_barrier_destroy(pthread_barrier_t *b)
{
    struct fiber *f = hook_enter();
    return f == NULL ? LKC_REAL(pthread_barrier_destroy)(b) : 0;
}

int lkc_k_barrier_wait(pthread_barrier_t *b)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_barrier_wait)(b);
    uint64_t count = plain_load((uintptr_t)b + 8, 4), phase = ~(uint64_t)UINT32_MAX;
    struct access a = hook_access(f, b, 8, MO_AR);
    a.op = OP_BARRIER;
    a.expected = count;
    uint64_t before = explore_read(&a);
    if ((before & UINT32_MAX) + 1 == count)
        return PTHREAD_BARRIER_SERIAL_THREAD;
    (void)wait_op(f, b, 8, OP_WAIT_NOT, phase, before & phase, false);
    return 0;
}

/* ---- spin locks and semaphores
 * ----------------------------------------------------------------- */

int lkc_k_spin_init(pthread_spinlock_t *l, int shared)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_spin_init)(l, shared);
    init_object(f, (void *)(uintptr_t)l, 4);
    return 0;
}

int lkc_k_spin_destroy(pthread_spinlock_t *l)
{
    struct fiber *f = hook_enter();
    return f == NULL ? LKC_REAL(pthread_spin_destroy)(l) : 0;
}

int lkc_k_spin_lock(pthread_spinlock_t *l)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_spin_lock)(l);
    (void)wait_op(f, (void *)(uintptr_t)l, 4, OP_LOCK, RW_ANY, f->tid + 1, false);
    return 0;
}

int lkc_k_spin_trylock(pthread_spinlock_t *l)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_spin_trylock)(l);
    return wait_op(f, (void *)(uintptr_t)l, 4, OP_TRYLOCK, RW_ANY, f->tid + 1, false) != 0 ? EBUSY
                                                                                           : 0;
}

int lkc_k_spin_unlock(pthread_spinlock_t *l)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_spin_unlock)(l);
    if (explore_peek((uintptr_t)l, 4) != f->tid + 1)
        misuse(f, "a spin lock is unlocked by a thread that does not hold it");
    release(f, (void *)(uintptr_t)l, 4, 0);
    return 0;
}

int lkc_k_sem_init(sem_t *s, int shared, unsigned value)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(sem_init)(s, shared, value);
    init_object(f, s, sizeof *s);
    memcpy(s, &value, sizeof value);
    return 0;
}

int lkc_k_sem_destroy(sem_t *s)
{
    struct fiber *f = hook_enter();
    return f == NULL ? LKC_REAL(sem_destroy)(s) : 0;
}

int lkc_k_sem_wait(sem_t *s)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(sem_wait)(s);
    (void)wait_op(f, s, 4, OP_SEM, 0, 0, false);
    return 0;
}

int lkc_k_sem_trywait(sem_t *s)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(sem_trywait)(s);
    if (wait_op(f, s, 4, OP_TRYSEM, 0, 0, false) != 0)
        return 0;
    errno = EAGAIN;
    return -1;
}

int lkc_k_sem_timedwait(sem_t *s, const struct timespec *until)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(sem_timedwait)(s, until);
    if (!times_out(f)) {
        (void)wait_op(f, s, 4, OP_SEM, 0, 0, true);
        return 0;
    }
    (void)wait_op(f, s, 4, OP_WAIT_MASKED, RW_ANY, 0, true);
    errno = ETIMEDOUT;
    return -1;
}

int lkc_k_sem_post(sem_t *s)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(sem_post)(s);
    (void)hook_rmw(f, s, 4, MO_AR, OP_ADD, 1);
    return 0;
}

int lkc_k_sem_getvalue(sem_t *s, int *value)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(sem_getvalue)(s, value);
    *value = (int)hook_rmw(f, s, 4, MO_RLX, OP_NONE, 0);
    return 0;
}

/* ---- once: 0 = not yet, 1 = somebody is at it, 2 = done
 * ----------------------------------------- */

bool lkc_k_once_enter(int *once)
{
    struct fiber *f = hook_enter();
    struct access a = hook_access(f, once, 4, MO_ACQ);
    a.op = OP_CAS;
    a.operand = 1;
    uint64_t seen = explore_read(&a);
    if (seen == 1)
        (void)wait_op(f, once, 4, OP_WAIT_MASKED, RW_ANY, 2, false);
    return seen == 0;
}

void lkc_k_once_leave(int *once)
{
    struct fiber *f = hook_enter();
    release(f, once, 4, 2);
}
