/* shim_kernel.c - the kernel's part: sleeping on words, waking, and what happens when a thread
 * dies.
 *
 * The kernel's bucket is a location of its own, Q, one bit for each sleeper.  Every call begins
 * with an acq_rel read-modify-write of Q, so that calls on one word are in one order, as they are
 * by the bucket's lock: who enters before a wake is woken by it; who enters after it sees what came
 * before. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hooks.h"
#include "shim.h"

static struct access shadow_access(const struct fiber *f, uintptr_t addr, unsigned order)
{
    return (struct access){.addr = addr,
                           .size = 8,
                           .order = (uint8_t)order,
                           .fail_order = (uint8_t)order,
                           .pc = lkc_trap_pc(f),
                           .silent = true};
}

static uint64_t queue_rmw(const struct fiber *f, uintptr_t queue, enum ev_op op, uint64_t operand)
{
    struct access a = shadow_access(f, queue, MO_AR);
    a.op = (uint8_t)op;
    a.operand = operand;
    return explore_read(&a);
}

static uint64_t bit_of(const struct fiber *f)
{
    if (f->tid > 62)
        error_stop(LK_CHECK_UNSUPPORTED, lkc_trap_pc(f),
                   "thread %u sleeps: only the first 63 threads can", f->tid);
    return (uint64_t)1 << f->tid;
}

void shim_queue_enter(const struct fiber *f, uintptr_t queue)
{
    (void)queue_rmw(f, shadow_queue(queue), OP_OR, bit_of(f));
}

bool shim_queue_leave(const struct fiber *f, uintptr_t queue)
{
    return (queue_rmw(f, shadow_queue(queue), OP_AND, ~bit_of(f)) & bit_of(f)) != 0;
}

void shim_sleep(const struct fiber *f, bool timed)
{
    struct access a = shadow_access(f, shadow_wake(f->tid), MO_ACQ);
    a.op = OP_WAIT_NOT;
    a.expected = UINT64_MAX;
    a.timed = timed;
    a.silent = false;
    (void)explore_read(&a);
    struct access reset = shadow_access(f, shadow_wake(f->tid), MO_RLX);
    reset.silent = false;
    explore_write(&reset, 0);
}

static void set_flag(const struct fiber *f, uint64_t bit)
{
    struct access a = shadow_access(f, shadow_wake((uint32_t)__builtin_ctzll(bit)), MO_REL);
    explore_write(&a, 1);
}

uint32_t shim_wake(const struct fiber *f, uintptr_t queue, uint32_t n)
{
    uint32_t woken = 0;
    if (n >= 63) {
        uint64_t all = queue_rmw(f, shadow_queue(queue), OP_AND, 0);
        for (; all != 0; all &= all - 1, woken++)
            set_flag(f, all & -all);
        return woken;
    }
    for (; woken < n; woken++) {
        uint64_t before = queue_rmw(f, shadow_queue(queue), OP_WAKE_ONE, 0);
        uint64_t gone = before & ~explore_stored();
        if (gone == 0)
            break;
        set_flag(f, gone);
    }
    return woken;
}

/* ---- futex
 * -------------------------------------------------------------------------------------- */

static uint32_t word_now(const struct fiber *f, const uint32_t *word)
{
    uintptr_t low = (uintptr_t)word & ~(uintptr_t)7;
    if (loc_find(low, 8) == LOC_NONE)
        return (uint32_t)hook_rmw(f, (void *)(uintptr_t)word, 4, MO_ACQ, OP_NONE, 0);
    /* Half of a word that the program accesses as 8 bytes: the kernel does not mind. */
    uint64_t both = hook_rmw(f, (void *)low, 8, MO_ACQ, OP_NONE, 0);
    return (uint32_t)(both >> 8 * ((uintptr_t)word & 7));
}

static int wait_until(struct fiber *f, const uint32_t *word[2], bool timed)
{
    int early = 0;
    if (timed && explore_choice(2, lkc_trap_pc(f)) == 1)
        early = ETIMEDOUT;
    else if (lkc->opt.spurious_wakes && explore_choice(2, lkc_trap_pc(f)) == 1)
        early = EINTR;
    bool woken = false;
    if (early == 0)
        shim_sleep(f, timed);
    for (int i = 0; i < 2 && word[i] != NULL; i++)
        if ((early != 0 || word[1] != NULL) && !shim_queue_leave(f, (uintptr_t)word[i]))
            woken = true;
    if (early != 0 && woken) /* a wake came first */
        shim_sleep(f, timed);
    return woken ? 0 : early;
}

/* A thread may be killed before it calls the kernel; what the kernel does, it does whole. */
static void into_kernel(struct fiber *f)
{
    explore_may_die();
    f->dying = true;
}

static int futex_wait_inside(struct fiber *f, const uint32_t *a, uint32_t va, const uint32_t *b,
                             uint32_t vb, bool timed)
{
    const uint32_t *word[2] = {a, b};
    shim_queue_enter(f, (uintptr_t)a);
    if (b != NULL)
        shim_queue_enter(f, (uintptr_t)b);
    if (word_now(f, a) == va && (b == NULL || word_now(f, b) == vb))
        return wait_until(f, word, timed);
    bool woken = !shim_queue_leave(f, (uintptr_t)a);
    if (b != NULL)
        woken |= !shim_queue_leave(f, (uintptr_t)b);
    if (woken)
        shim_sleep(f, timed);
    return EAGAIN;
}

static int futex_wait(struct fiber *f, const uint32_t *a, uint32_t va, const uint32_t *b,
                      uint32_t vb, bool timed)
{
    into_kernel(f);
    int rc = futex_wait_inside(f, a, va, b, vb, timed);
    f->dying = false;
    return rc;
}

static uint32_t futex_wake(struct fiber *f, uintptr_t word, uint32_t n)
{
    into_kernel(f);
    uint32_t woken = shim_wake(f, word, n);
    f->dying = false;
    return woken;
}

int lkc_k_futex_wait(const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb, bool timed)
{
    struct fiber *f = hook_enter();
    return f == NULL ? ENOSYS : futex_wait(f, a, va, b, vb, timed);
}

int lkc_k_futex_wake(const uint32_t *word, int n)
{
    struct fiber *f = hook_enter();
    if (f == NULL || n <= 0)
        return 0;
    return (int)futex_wake(f, (uintptr_t)word, (uint32_t)n);
}

/* Wake n of the sleepers of `from`; up to `move` others sleep on `to` from now on. */
static long requeue(struct fiber *f, uintptr_t from, uint32_t n, uintptr_t to, uint32_t move)
{
    into_kernel(f);
    uint32_t woken = shim_wake(f, from, n), moved = 0;
    for (; moved < move; moved++) {
        uint64_t before = queue_rmw(f, shadow_queue(from), OP_WAKE_ONE, 0);
        uint64_t gone = before & ~explore_stored();
        if (gone == 0)
            break;
        (void)queue_rmw(f, shadow_queue(to), OP_OR, gone);
    }
    f->dying = false;
    return (long)woken + moved;
}

static long fail(int error)
{
    errno = error;
    return -1;
}

static long futex_call(struct fiber *f, uint32_t *word, int op, uint32_t val, long timeout,
                       uint32_t *other, uint32_t val3)
{
    int rc;
    switch (op & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        rc = futex_wait(f, word, val, NULL, 0, timeout != 0);
        return rc == 0 ? 0 : fail(rc);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
        return (long)futex_wake(f, (uintptr_t)word, val);
    case FUTEX_CMP_REQUEUE:
        if (word_now(f, word) != val3)
            return fail(EAGAIN);
        return requeue(f, (uintptr_t)word, val, (uintptr_t)other, (uint32_t)timeout);
    case FUTEX_REQUEUE:
        return requeue(f, (uintptr_t)word, val, (uintptr_t)other, (uint32_t)timeout);
    default:
        error_stop(LK_CHECK_UNSUPPORTED, lkc_trap_pc(f), "futex operation %d", op & FUTEX_CMD_MASK);
    }
}

struct waitv_entry { /* struct futex_waitv of Linux 5.16 */
    uint64_t val, uaddr;
    uint32_t flags, reserved;
};

static long waitv_call(struct fiber *f, const struct waitv_entry *v, unsigned n, bool timed)
{
    if (n == 0 || n > 2)
        error_stop(LK_CHECK_UNSUPPORTED, lkc_trap_pc(f), "futex_waitv of %u words", n);
    const uint32_t *b = n == 2 ? (const uint32_t *)(uintptr_t)v[1].uaddr : NULL;
    int rc = futex_wait(f, (const uint32_t *)(uintptr_t)v[0].uaddr, (uint32_t)v[0].val, b,
                        n == 2 ? (uint32_t)v[1].val : 0, timed);
    return rc == 0 ? 0 : fail(rc);
}

long lkc_k_syscall(long number, long a, long b, long c, long d, long e, long sixth)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(syscall)(number, a, b, c, d, e, sixth);
    switch (number) {
    case SYS_futex: /* the sixth argument lies above the return address on the thread's stack */
        return futex_call(f, (uint32_t *)a, (int)b, (uint32_t)c, d, (uint32_t *)e,
                          (uint32_t)((const uint64_t *)f->sp)[14]);
#ifdef SYS_futex_waitv
    case SYS_futex_waitv:
        return waitv_call(f, (const struct waitv_entry *)a, (unsigned)b, d != 0);
#endif
    case SYS_gettid:
    case SYS_getpid:
        return (long)f->tid + 1;
    case SYS_sched_yield:
        return 0;
    default:
        error_stop(LK_CHECK_UNSUPPORTED, lkc_trap_pc(f), "system call %ld", number);
    }
}

/* ---- death
 * -------------------------------------------------------------------------------------- */

void lkc_k_mortal(bool on)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        f->mortal = on;
}

static bool is_dead(const struct fiber *f, unsigned thread)
{
    struct access a = shadow_access(f, shadow_death(thread), MO_ACQ);
    a.silent = false;
    return explore_read(&a) != 0;
}

/* Only the question whether a process is there; a process is a thread, its id the number + 1. */
int lkc_k_kill(int pid, int number)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(kill)(pid, number);
    if (number != 0)
        error_stop(LK_CHECK_UNSUPPORTED, lkc_trap_pc(f), "kill() with a signal");
    if (pid <= 0)
        error_stop(LK_CHECK_MISUSE, lkc_trap_pc(f), "kill(%d, 0) reaches a process group", pid);
    if ((uint32_t)pid <= lkc->g.nthreads && !is_dead(f, (unsigned)pid - 1))
        return 0;
    errno = ESRCH;
    return -1;
}

unsigned lkc_k_thread(void)
{
    struct fiber *f = hook_enter();
    return f != NULL ? f->tid : 0;
}

bool lkc_k_dead(unsigned thread)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return false;
    return is_dead(f, thread);
}

void shim_robust_add(struct fiber *f, uint32_t *word, uint8_t size)
{
    for (uint32_t i = 0; i < f->nrobust; i++)
        if (f->robust[i] == word)
            return;
    if (f->nrobust == sizeof f->robust / sizeof f->robust[0])
        error_stop(LK_CHECK_UNSUPPORTED, lkc_trap_pc(f), "more than %u robust words", f->nrobust);
    f->robust_size[f->nrobust] = size;
    f->robust[f->nrobust++] = word;
}

void lkc_k_robust_add(uint32_t *word)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        shim_robust_add(f, word, 4);
}

void lkc_k_robust_add64(uint64_t *word)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        shim_robust_add(f, (uint32_t *)word, 8);
}

void lkc_k_robust_remove(uint32_t *word)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        shim_robust_remove(f, word);
}

void lkc_k_relax(void)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        f->stutter = true;
}

void shim_robust_remove(struct fiber *f, const uint32_t *word)
{
    for (uint32_t i = 0; i < f->nrobust; i++)
        if (f->robust[i] == word) {
            f->robust[i] = f->robust[--f->nrobust];
            f->robust_size[i] = f->robust_size[f->nrobust];
            return;
        }
}

/* The kernel's walk of the robust list: mark what the thread holds, wake one sleeper of each. */
void shim_thread_ends(struct fiber *f)
{
    f->dying = true;
    for (uint32_t i = 0; i < f->nrobust; i++) {
        struct access a = hook_access(f, f->robust[i], f->robust_size[i], MO_AR);
        a.op = OP_ROBUST;
        a.expected = f->tid + 1;
        uint64_t before = explore_read(&a);
        if ((before & FUTEX_TID_MASK) == f->tid + 1 && before & FUTEX_WAITERS)
            (void)shim_wake(f, (uintptr_t)f->robust[i], 1);
    }
}

void shim_die(struct fiber *f)
{
    shim_thread_ends(f);
    explore_end(0);
}
