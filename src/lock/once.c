/* once.c - the paths of latchkey/once.h that run or wait.
 *
 * Word: 0 not done | DONE | {SLEEPERS:1, fork epoch:7, thread:22, RUNNING:1, 0:1}.  The thread's id
 * is compared only with the ids of threads of the same process (the epoch says so).  A sleeper
 * sleeps on a value with SLEEPERS, which says that the runner will wake it however it ends. */
#include "latchkey/once.h"

#include "base/atomic.h"
#include "base/futex.h"
#include "base/robust.h"
#include "base/spin.h"

#define DONE LK_ONCE_DONE_
#define RUNNING 2u
#define EPOCH 0x7f000000u
#define SLEEPERS 0x80000000u

struct running {
    uint32_t *word;
    uint32_t result; /* what the word becomes when the initialiser has ended, in whatever way */
};

/* Runs when fn has returned, and when its thread unwinds out of it. */
static void end_running(struct running *r)
{
    /* [once.4] release, pairs with [once.1] [once.5] [once.6]: what the initialiser wrote. */
    if (lk_xchg_rel_u32(r->word, r->result) & SLEEPERS)
        (void)lki_futex_rouse(r->word, 0x7fffffff, false);
}

static int run(uint32_t *word, int (*fn)(void *arg), void *arg)
{
    struct running r __attribute__((cleanup(end_running))) = {word, 0};
    int rc = fn(arg);
    if (rc == 0)
        r.result = DONE;
    return rc;
}

static uint32_t my_name(void)
{
    return (lki_fork_epoch() << 24 & EPOCH) | (lki_thread_id() << 2 & 0xfffffcu) | RUNNING;
}

/* Another thread runs it: wait for a change.  ETIMEDOUT or 0. */
static int wait_for_change(uint32_t *word, uint32_t seen, const struct lki_deadline *until)
{
    struct lki_spin spin;
    (void)lki_spin_aloof(&spin);
    while (lki_spin_near(&spin)) {
        /* [once.7] relaxed: only whether it has changed. */
        if (lk_load_rlx_u32(word) != seen)
            return 0;
    }
    if (until->at != NULL && lki_deadline_passed(until))
        return ETIMEDOUT;
    /* [once.8] relaxed: the bit must be in the word before the kernel compares it, and the kernel's
     * own lock orders that. */
    if ((seen & SLEEPERS) || lk_cas_rlx_u32(word, &seen, seen | SLEEPERS))
        (void)lki_futex_sleep(word, seen | SLEEPERS, false, until);
    return 0;
}

int lk_once_call_slowly_(lk_once *o, int (*fn)(void *arg), void *arg,
                         const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, CLOCK_MONOTONIC};
    uint32_t me = my_name();
    if (lki_deadline_check(&until) != 0)
        return EINVAL;
    for (;;) {
        /* [once.5] acquire, pairs with [once.4]: what the initialiser wrote. */
        uint32_t seen = lk_load_acq_u32(&o->word_);
        if (seen == DONE)
            return 0;
        if ((seen & ~SLEEPERS) == me)
            return EDEADLK;
        /* Not begun, or by a thread that this process does not have: the parent of a fork had. */
        if (seen == 0 || ((seen ^ me) & EPOCH)) {
            /* [once.6] acquire, pairs with [once.4]: what failed initialisers left. */
            if (lk_cas_acq_u32(&o->word_, &seen, me))
                return run(&o->word_, fn, arg);
            continue;
        }
        int rc = wait_for_change(&o->word_, seen, &until);
        if (rc != 0)
            return rc;
    }
}

struct making {
    lk_lazy *lazy;
    void *(*make)(void *arg);
    void *arg;
};

static int make(void *arg)
{
    struct making *m = arg;
    void *made = m->make(m->arg);
    if (made == NULL)
        return ENOMEM;
    /* [once.3] release, pairs with [once.2]: what the pointer points to. */
    lk_store_rel_ptr(&m->lazy->pointer_, made);
    return 0;
}

int lk_lazy_get_slowly_(lk_lazy *z, void *(*make_one)(void *arg), void *arg, void **made)
{
    struct making m = {z, make_one, arg};
    int rc = lk_once_call(&z->once_, make, &m);
    if (rc == 0)
        *made = z->pointer_;
    return rc;
}
