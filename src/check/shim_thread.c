/* shim_thread.c - starting, joining and ending threads; thread-specific data; the C11 names.
 *
 * Functions named lkc_k_* run on the checker's stack behind a trap; the others run on the
 * thread's. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>

#include "hooks.h"
#include "shim.h"

/* A pthread_t is the thread's number + 1. */
static pthread_t id_of(uint32_t tid)
{
    return (pthread_t)tid + 1;
}

int lkc_k_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_create)(thread, attr, fn, arg);
    int state = PTHREAD_CREATE_JOINABLE;
    if (attr != NULL)
        (void)pthread_attr_getdetachstate(attr, &state);
    uint32_t tid = explore_create(fn, arg, lkc_trap_pc(f));
    lkc->g.t[tid].detached = state == PTHREAD_CREATE_DETACHED;
    pthread_t id = id_of(tid);
    plain_store((uintptr_t)thread, sizeof id, id);
    return 0;
}

int lkc_k_join(pthread_t thread, void **result)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_join)(thread, result);
    uint32_t tid = (uint32_t)(thread - 1);
    if (thread == 0 || thread > lkc->g.nthreads || !lkc->g.t[tid].live)
        error_stop(LK_CHECK_MISUSE, lkc_trap_pc(f), "join of a thread that does not exist");
    if (tid == f->tid)
        return EDEADLK;
    uint64_t value = explore_join(tid, lkc_trap_pc(f));
    if (result != NULL) {
        if ((uintptr_t)result - f->stack_low >= f->stack_high - f->stack_low) {
            plain_write((uintptr_t)result, sizeof value, lkc_trap_pc(f));
            f->pending = 0;
        }
        plain_store((uintptr_t)result, sizeof value, value);
    }
    return 0;
}

int lkc_k_detach(pthread_t thread)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return LKC_REAL(pthread_detach)(thread);
    if (thread != 0 && thread <= lkc->g.nthreads)
        lkc->g.t[thread - 1].detached = 1;
    return 0;
}

/* ---- on the thread's own stack
 * ------------------------------------------------------------------ */

pthread_t pthread_self(void)
{
    return self() != NULL ? id_of(self()->tid) : LKC_REAL(pthread_self)();
}

int pthread_once(pthread_once_t *once, void (*fn)(void))
{
    if (self() == NULL)
        return LKC_REAL(pthread_once)(once, fn);
    if (lkc_once_enter(once)) {
        fn();
        lkc_once_leave(once);
    }
    return 0;
}

/* ---- thread-specific data
 * ----------------------------------------------------------------------- */

enum { KEYS = 128 };
struct keys {
    uint32_t n;
    void (*destroy[KEYS])(void *);
};
static struct keys *keys(void)
{
    if (lkc->keys == NULL) {
        lkc->keys = lkc_alloc(sizeof(struct keys));
        memset(lkc->keys, 0, sizeof(struct keys));
    }
    return lkc->keys;
}

void shim_reset(void)
{
    keys()->n = 0;
}

void shim_thread_start(struct fiber *f)
{
    if (f->keys == NULL) {
        f->keys = lkc_alloc(KEYS * sizeof *f->keys);
        f->keys_used = KEYS - 1;
    }
    memset(f->keys, 0, (f->keys_used + 1) * sizeof *f->keys);
    f->keys_used = 0;
}

int pthread_key_create(pthread_key_t *key, void (*destroy)(void *))
{
    if (self() == NULL)
        return LKC_REAL(pthread_key_create)(key, destroy);
    if (keys()->n == KEYS)
        return EAGAIN;
    keys()->destroy[keys()->n] = destroy;
    *key = keys()->n++;
    self()->lap++;
    self()->unseen++;
    return 0;
}

int pthread_key_delete(pthread_key_t key)
{
    if (self() == NULL)
        return LKC_REAL(pthread_key_delete)(key);
    keys()->destroy[key] = NULL;
    return 0;
}

int pthread_setspecific(pthread_key_t key, const void *value)
{
    if (self() == NULL)
        return LKC_REAL(pthread_setspecific)(key, value);
    self()->keys[key] = (void *)(uintptr_t)value;
    if (key > self()->keys_used)
        self()->keys_used = key;
    self()->lap++;
    self()->unseen++;
    return 0;
}

void *pthread_getspecific(pthread_key_t key)
{
    return self() == NULL ? LKC_REAL(pthread_getspecific)(key) : self()->keys[key];
}

void pthread_exit(void *result)
{
    struct fiber *f = self();
    if (f == NULL)
        LKC_REAL(pthread_exit)(result);
    for (uint32_t i = 0; i < keys()->n; i++) {
        void *value = f->keys[i];
        f->keys[i] = NULL;
        if (value != NULL && keys()->destroy[i] != NULL)
            keys()->destroy[i](value);
    }
    lkc_thread_exit(result);
}

pid_t getpid(void)
{
    return self() != NULL ? (pid_t)self()->tid + 1 : LKC_REAL(getpid)();
}

/* ---- calls that let time pass
 * ------------------------------------------------------------------- */

int sched_yield(void)
{
    return self() == NULL ? LKC_REAL(sched_yield)() : 0;
}
int usleep(useconds_t us)
{
    return self() == NULL ? LKC_REAL(usleep)(us) : 0;
}
unsigned sleep(unsigned s)
{
    return self() == NULL ? LKC_REAL(sleep)(s) : 0;
}

int nanosleep(const struct timespec *t, struct timespec *left)
{
    return self() == NULL ? LKC_REAL(nanosleep)(t, left) : 0;
}

/* ---- C11
 * ---------------------------------------------------------------------------------------- */

static int c11(int rc)
{
    return rc == 0           ? thrd_success
           : rc == EBUSY     ? thrd_busy
           : rc == ETIMEDOUT ? thrd_timedout
                             : thrd_error;
}

int thrd_create(thrd_t *thread, thrd_start_t fn, void *arg)
{
    return c11(pthread_create(thread, NULL, (void *(*)(void *))(uintptr_t)fn, arg));
}

int thrd_join(thrd_t thread, int *result)
{
    void *value = NULL;
    int rc = pthread_join(thread, &value);
    if (result != NULL)
        *result = (int)(intptr_t)value;
    return c11(rc);
}

void thrd_exit(int result)
{
    pthread_exit((void *)(intptr_t)result);
}
int thrd_detach(thrd_t thread)
{
    return c11(pthread_detach(thread));
}
thrd_t thrd_current(void)
{
    return pthread_self();
}
int thrd_equal(thrd_t a, thrd_t b)
{
    return a == b;
}
void thrd_yield(void)
{
    (void)sched_yield();
}
int thrd_sleep(const struct timespec *t, struct timespec *left)
{
    return nanosleep(t, left);
}

int mtx_init(mtx_t *m, int type)
{
    int rc = pthread_mutex_init((pthread_mutex_t *)m, NULL);
    if (type & mtx_recursive)
        ((pthread_mutex_t *)m)->__data.__kind = PTHREAD_MUTEX_RECURSIVE;
    return c11(rc);
}

int mtx_lock(mtx_t *m)
{
    return c11(pthread_mutex_lock((pthread_mutex_t *)m));
}
int mtx_trylock(mtx_t *m)
{
    return c11(pthread_mutex_trylock((pthread_mutex_t *)m));
}
int mtx_unlock(mtx_t *m)
{
    return c11(pthread_mutex_unlock((pthread_mutex_t *)m));
}
void mtx_destroy(mtx_t *m)
{
    (void)pthread_mutex_destroy((pthread_mutex_t *)m);
}

int mtx_timedlock(mtx_t *m, const struct timespec *until)
{
    return c11(pthread_mutex_timedlock((pthread_mutex_t *)m, until));
}

int cnd_init(cnd_t *c)
{
    return c11(pthread_cond_init((pthread_cond_t *)c, NULL));
}
void cnd_destroy(cnd_t *c)
{
    (void)pthread_cond_destroy((pthread_cond_t *)c);
}
int cnd_signal(cnd_t *c)
{
    return c11(pthread_cond_signal((pthread_cond_t *)c));
}
int cnd_broadcast(cnd_t *c)
{
    return c11(pthread_cond_broadcast((pthread_cond_t *)c));
}

int cnd_wait(cnd_t *c, mtx_t *m)
{
    return c11(pthread_cond_wait((pthread_cond_t *)c, (pthread_mutex_t *)m));
}

int cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *until)
{
    return c11(pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, until));
}

void call_once(once_flag *once, void (*fn)(void))
{
    (void)pthread_once((pthread_once_t *)once, fn);
}
int tss_create(tss_t *key, tss_dtor_t destroy)
{
    return c11(pthread_key_create(key, destroy));
}
void tss_delete(tss_t key)
{
    (void)pthread_key_delete(key);
}
int tss_set(tss_t key, void *value)
{
    return c11(pthread_setspecific(key, value));
}
void *tss_get(tss_t key)
{
    return pthread_getspecific(key);
}
