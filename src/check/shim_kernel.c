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

static uint64_t queue_rmw(const struct fiber *f, uintptr_t queue, enum ev_op op, uint64_t operand,
                          bool nap)
{
    struct access a = shadow_access(f, shadow_queue(queue), MO_AR);
    a.op = (uint8_t)op;
    a.operand = operand;
    a.nap = nap;
    return explore_read(&a);
}

static uint64_t bit_of(const struct fiber *f)
{
    if (f->tid > 62)
        error_stop(LK_CHECK_UNSUPPORTED, lkc_trap_pc(f),
                   "thread %u sleeps: only the first 63 threads can", f->tid);
    return (uint64_t)1 << f->tid;
}

void shim_queue_enter(struct fiber *f, uintptr_t queue, bool first)
{
    (void)queue_rmw(f, queue, OP_ENTER, bit_of(f), first);
    if (first)
        f->nap = ev_id(f->tid, f->pos - 2);
}

bool shim_queue_leave(const struct fiber *f, uintptr_t queue)
{
    return (queue_rmw(f, queue, OP_LEAVE, bit_of(f), false) & bit_of(f)) != 0;
}

uint32_t shim_sleep(struct fiber *f, bool timed)
{
    struct access a = shadow_access(f, shadow_wake(f->nap), MO_ACQ);
    a.op = OP_WAIT_NOT;
    a.expected = UINT64_MAX;
    a.timed = timed;
    a.queue = f->backstop;
    a.silent = false;
    uint32_t by = (uint32_t)explore_read(&a);
    f->lap++;
    f->deeds++;
    return by;
}

/* The sleep that thread `tid` is in, as the caller knows from the queue. */
static evid nap_of(const struct fiber *f, uint32_t tid)
{
    const struct graph *g = &lkc->g;
    uint32_t p = graph_clk(g, ev_id(f->tid, f->pos - 1), CLK_HB)[tid];
    while (p-- > 0)
        if (g->t[tid].ev[p].op == OP_ENTER && g->t[tid].ev[p].flags & EF_NAP)
            return ev_id(tid, p);
    lkc_die("a sleeper that never went to sleep");
}

/* The flag's value says by which queue. */
static void set_flag(const struct fiber *f, uint32_t tid, uintptr_t queue)
{
    struct access a = shadow_access(f, shadow_wake(nap_of(f, tid)), MO_REL);
    explore_write(&a, loc_get(shadow_queue(queue), 8, a.pc));
}

uint32_t shim_wake(const struct fiber *f, uintptr_t queue, uint32_t n)
{
    uint64_t before = queue_rmw(f, queue, OP_WAKE, n, false);
    uint64_t gone = before & ~explore_stored();
    for (uint64_t left = gone; left != 0; left &= left - 1)
        set_flag(f, (uint32_t)__builtin_ctzll(left), queue);
    return (uint32_t)__builtin_popcountll(gone);
}

/* ---- futex
 * -------------------------------------------------------------------------------------- */

/* The word as the kernel sees it; half of one that the program accesses as 8 bytes is no
 * trouble. */
static struct access word_access(const struct fiber *f, const uint32_t *word, unsigned *shift)
{
    uintptr_t low = (uintptr_t)word & ~(uintptr_t)7;
    bool half = loc_find(low, 8) != LOC_NONE;
    *shift = half ? 8 * (unsigned)((uintptr_t)word & 7) : 0;
    return hook_access(f, half ? (const void *)low : word, half ? 8 : 4, MO_RLX);
}

static uint32_t word_now(const struct fiber *f, const uint32_t *word)
{
    unsigned shift;
    struct access a = word_access(f, word, &shift);
    a.order = a.fail_order = MO_ACQ;
    return (uint32_t)(explore_read(&a) >> shift);
}

/* Enter the word's queue if it holds what is expected, in one step. */
static bool enter_if(struct fiber *f, const struct lk_check_watch *w, bool first)
{
    unsigned shift;
    struct access a = word_access(f, w->word, &shift);
    a.op = OP_COMPARE;
    a.operand = (uint64_t)UINT32_MAX << shift;
    a.expected = (uint64_t)w->value << shift;
    a.nap = first;
    a.queue = loc_get(shadow_queue((uintptr_t)w->word), 8, a.pc);
    if ((explore_read(&a) & a.operand) != a.expected)
        return false;
    shim_queue_enter(f, (uintptr_t)w->word, first);
    return true;
}

/* Leave all queues but the one that a wake came by; true = others have woken us from one. */
static bool leave(const struct fiber *f, const struct lk_check_watch *w, uint32_t n, uint32_t by)
{
    bool woken = false;
    for (uint32_t i = 0; i < n; i++)
        if (by == LOC_NONE || loc_find(shadow_queue((uintptr_t)w[i].word), 8) != by)
            woken |= !shim_queue_leave(f, (uintptr_t)w[i].word);
    return woken;
}

static int sleep_on(struct fiber *f, const struct lk_check_watch *w, uint32_t n, bool timed)
{
    int early = 0;
    if (timed && explore_choice(2, lkc_trap_pc(f)) == 1)
        early = ETIMEDOUT;
    else if (lkc->opt.spurious_wakes && explore_choice(2, lkc_trap_pc(f)) == 1)
        early = EINTR;
    if (early != 0)
        return leave(f, w, n, LOC_NONE) ? 0 : early;
    uint32_t by = shim_sleep(f, timed);
    if (by == WOKEN_BY_TIMER)
        return leave(f, w, n, LOC_NONE) ? 0 : ETIMEDOUT;
    if (n > 1)
        (void)leave(f, w, n, by);
    return 0;
}

/* A thread may be killed before it calls the kernel; what the kernel does, it does whole. */
static void into_kernel(struct fiber *f)
{
    explore_may_die();
    f->dying = true;
}

static int futex_wait(struct fiber *f, const struct lk_check_watch *w, uint32_t n, bool timed)
{
    uint32_t in = 0;
    int rc;
    into_kernel(f);
    while (in < n && enter_if(f, &w[in], in == 0))
        in++;
    if (in == n)
        rc = sleep_on(f, w, n, timed);
    else
        rc = leave(f, w, in, LOC_NONE) ? 0 : EAGAIN;
    if (rc == 0 && in != n) { /* it has used up a wake */
        f->deeds++;
        f->lap++;
    }
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

int lkc_k_futex_waitv(const struct lk_check_watch *w, unsigned n, bool timed)
{
    struct fiber *f = hook_enter();
    return f == NULL ? ENOSYS : futex_wait(f, w, n, timed);
}

int lkc_k_futex_wait(const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb, bool timed)
{
    const struct lk_check_watch w[2] = {{a, va}, {b, vb}};
    struct fiber *f = hook_enter();
    return f == NULL ? ENOSYS : futex_wait(f, w, b != NULL ? 2 : 1, timed);
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
    uint32_t woken = shim_wake(f, from, n);
    uint64_t before = queue_rmw(f, from, OP_WAKE, move, false);
    uint64_t gone = before & ~explore_stored();
    if (gone != 0)
        (void)queue_rmw(f, to, OP_ENTER, gone, false);
    f->dying = false;
    return (long)woken + __builtin_popcountll(gone);
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
        rc = futex_wait(f, &(struct lk_check_watch){word, val}, 1, timeout != 0);
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
    struct lk_check_watch w[FUTEX_WAITV_MAX];
    if (n == 0 || n > FUTEX_WAITV_MAX)
        return fail(EINVAL);
    for (unsigned i = 0; i < n; i++)
        w[i] = (struct lk_check_watch){(const uint32_t *)(uintptr_t)v[i].uaddr, (uint32_t)v[i].val};
    int rc = futex_wait(f, w, n, timed);
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
    if (f == NULL)
        return;
    f->mortal = on;
    f->spared = f->deeds - 1; /* it may die at once */
}

void lkc_k_crash_point(void)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return;
    bool mortal = f->mortal;
    f->mortal = true;
    f->spared = f->deeds - 1;
    explore_may_die();
    f->mortal = mortal;
}

void lkc_k_backstop(unsigned deaths)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        f->backstop = deaths + 1;
}

void lkc_k_process(unsigned process)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        lkc->g.t[f->tid].process = f->process = process + 1;
}

enum { ALIVE, DEAD, REPLACED }; /* another process has its number */

static uint64_t life_of(const struct fiber *f, unsigned thread)
{
    struct access a = shadow_access(f, shadow_death(thread), MO_ACQ);
    a.silent = false;
    return explore_read(&a);
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
    if ((uint32_t)pid <= lkc->g.nthreads && life_of(f, (unsigned)pid - 1) != DEAD)
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
    return life_of(f, thread) != ALIVE;
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

/* Entering the list is an effect: the process may die before it, its last effect being another, and
 * behind it. */
static void enter_list(struct fiber *f, uint32_t *word, uint8_t size)
{
    if (f == NULL)
        return;
    explore_may_die();
    shim_robust_add(f, word, size);
    f->deeds++;
}

void lkc_k_robust_add(uint32_t *word)
{
    enter_list(hook_enter(), word, 4);
}

void lkc_k_robust_add64(uint64_t *word)
{
    enter_list(hook_enter(), (uint32_t *)word, 8);
}

void lkc_k_robust_remove(uint32_t *word)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        shim_robust_remove(f, word);
}

void lkc_k_robust_pending(uint32_t *word)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        f->robust_pending = word;
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

/* What the kernel does with one word of the robust list.  The pending one may be free already: its
 * last holder may not have come to wake anybody (handle_futex_death(), Linux 5.4). */
static void robust_word(struct fiber *f, uint32_t *word, uint8_t size, bool pending)
{
    struct access a = hook_access(f, word, size, MO_AR);
    a.op = OP_ROBUST;
    a.expected = f->tid + 1;
    uint32_t before = (uint32_t)explore_read(&a);
    bool held = (before & FUTEX_TID_MASK) == f->tid + 1;
    if ((held && before & FUTEX_WAITERS) || (pending && before == 0))
        (void)shim_wake(f, (uintptr_t)word, 1);
}

void shim_thread_ends(struct fiber *f)
{
    uint8_t size = 4;
    f->dying = true;
    for (uint32_t i = 0; i < f->nrobust; i++) {
        if (f->robust[i] == f->robust_pending)
            size = f->robust_size[i];
        else
            robust_word(f, f->robust[i], f->robust_size[i], false);
    }
    if (f->robust_pending != NULL)
        robust_word(f, f->robust_pending,
                    loc_find((uintptr_t)f->robust_pending, 8) != LOC_NONE ? 8 : size, true);
}

void shim_die(struct fiber *f, bool replaced)
{
    f->dying = true;
    struct access a = shadow_access(f, shadow_death(f->tid), MO_REL);
    a.silent = false;
    a.death = true;
    explore_write(&a, replaced ? REPLACED : DEAD);
    shim_thread_ends(f);
    explore_end(0);
}
