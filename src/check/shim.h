/* shim.h - the C library's functions as the checker models them. */
#ifndef LKC_SHIM_H
#define LKC_SHIM_H

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <time.h>

#include "internal.h"

/* The C library's own function of this name, for calls outside an exploration. */
#define LKC_REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* Sleeping: a queue holds one bit for each sleeper; who wakes one sets its flag. */
/* `first` of the queues that a sleep is in. */
void shim_queue_enter(struct fiber *f, uintptr_t queue, bool first);
/* Leave it; false = somebody has woken us, and our flag is or will be set. */
bool shim_queue_leave(const struct fiber *f, uintptr_t queue);
/* Until the flag is set: by which queue, as a location. */
uint32_t shim_sleep(struct fiber *f, bool timed);
uint32_t shim_wake(const struct fiber *f, uintptr_t queue, uint32_t n);

/* The words that the kernel marks when the thread ends; adding one twice is adding it once. */
void shim_robust_add(struct fiber *f, uint32_t *word, uint8_t size);
void shim_robust_remove(struct fiber *f, const uint32_t *word);

/* The thread is dead; the kernel does what it does then.  Its number may be another's at once. */
_Noreturn void shim_die(struct fiber *f, bool replaced);
/* The thread ends: words on its robust list are marked. */
void shim_thread_ends(struct fiber *f);

long lkc_k_syscall(long number, long a, long b, long c, long d, long e, long sixth);
int lkc_k_kill(int pid, int number);
void lkc_k_mortal(bool on);
void lkc_k_crash_point(void);
void lkc_k_backstop(unsigned deaths);
void lkc_k_process(unsigned process);
bool lkc_k_dead(unsigned thread);
unsigned lkc_k_thread(void);
int lkc_k_futex_wait(const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb, bool timed);
int lkc_k_futex_waitv(const struct lk_check_watch *w, unsigned n, bool timed);
int lkc_k_futex_wake(const uint32_t *word, int n);
void lkc_k_robust_add(uint32_t *word);
void lkc_k_robust_add64(uint64_t *word);
void lkc_k_robust_remove(uint32_t *word);
void lkc_k_robust_pending(uint32_t *word);
/* At the beginning of a run: no keys. */
void shim_reset(void);
void shim_thread_start(struct fiber *f);

int lkc_k_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int lkc_k_join(pthread_t thread, void **result);
int lkc_k_detach(pthread_t thread);
int lkc_k_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int lkc_k_mutex_destroy(pthread_mutex_t *m);
int lkc_k_mutex_lock(pthread_mutex_t *m);
int lkc_k_mutex_trylock(pthread_mutex_t *m);
int lkc_k_mutex_timedlock(pthread_mutex_t *m, const struct timespec *until);
int lkc_k_mutex_clocklock(pthread_mutex_t *m, clockid_t clock, const struct timespec *until);
int lkc_k_mutex_unlock(pthread_mutex_t *m);
int lkc_k_mutex_consistent(pthread_mutex_t *m);
int lkc_k_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int lkc_k_cond_destroy(pthread_cond_t *c);
int lkc_k_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int lkc_k_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until);
int lkc_k_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                         const struct timespec *until);
int lkc_k_cond_signal(pthread_cond_t *c);
int lkc_k_cond_broadcast(pthread_cond_t *c);
int lkc_k_rwlock_init(pthread_rwlock_t *l, const pthread_rwlockattr_t *attr);
int lkc_k_rwlock_destroy(pthread_rwlock_t *l);
int lkc_k_rwlock_rdlock(pthread_rwlock_t *l);
int lkc_k_rwlock_tryrdlock(pthread_rwlock_t *l);
int lkc_k_rwlock_wrlock(pthread_rwlock_t *l);
int lkc_k_rwlock_trywrlock(pthread_rwlock_t *l);
int lkc_k_rwlock_unlock(pthread_rwlock_t *l);
int lkc_k_barrier_init(pthread_barrier_t *b, const pthread_barrierattr_t *attr, unsigned count);
int lkc_k_barrier_destroy(pthread_barrier_t *b);
int lkc_k_barrier_wait(pthread_barrier_t *b);
int lkc_k_spin_init(pthread_spinlock_t *l, int shared);
int lkc_k_spin_destroy(pthread_spinlock_t *l);
int lkc_k_spin_lock(pthread_spinlock_t *l);
int lkc_k_spin_trylock(pthread_spinlock_t *l);
int lkc_k_spin_unlock(pthread_spinlock_t *l);
int lkc_k_sem_init(sem_t *s, int shared, unsigned value);
int lkc_k_sem_destroy(sem_t *s);
int lkc_k_sem_wait(sem_t *s);
int lkc_k_sem_trywait(sem_t *s);
int lkc_k_sem_timedwait(sem_t *s, const struct timespec *until);
int lkc_k_sem_post(sem_t *s);
int lkc_k_sem_getvalue(sem_t *s, int *value);
bool lkc_k_once_enter(int *once);
void lkc_k_once_leave(int *once);

/* Traps without a name in the C library. */
_Noreturn void lkc_thread_exit(void *result);
bool lkc_once_enter(int *once);
void lkc_once_leave(int *once);

void *lkc_k_malloc(size_t size);
void *lkc_k_calloc(size_t n, size_t size);
void *lkc_k_realloc(void *p, size_t size);
void *lkc_k_aligned_alloc(size_t align, size_t size);
int lkc_k_posix_memalign(void **p, size_t align, size_t size);
void lkc_k_free(void *p);
void lkc_k_assert_fail(const char *what, const char *file, unsigned line, const char *function);
void lkc_k_abort(void);
void lkc_k_check_fail(const char *what, const char *file, int line);
void lkc_k_check_assume(bool condition);
uint32_t lkc_k_check_choose(uint32_t ways);

#endif
