/* conform.c - what POSIX promises of the pthread locks, by a program that knows nothing of
 * latchkey: run by itself and under liblatchkey-pthread.so.  Says how many checks held; exit 1 if
 * one did not. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned checks;

#define CHECK(expr, want)                                                                          \
    do {                                                                                           \
        long long got_ = (long long)(expr), want_ = (long long)(want);                             \
        checks++;                                                                                  \
        if (got_ != want_) {                                                                       \
            (void)fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #expr,      \
                          got_, want_);                                                            \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static struct timespec soon(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    t.tv_nsec += 20000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

struct call {
    int (*act)(void *lock);
    void *lock;
    int rc;
};

static void *call_in_thread(void *arg)
{
    struct call *c = arg;
    c->rc = c->act(c->lock);
    return NULL;
}

static int from_thread(int (*act)(void *), void *lock)
{
    struct call c = {act, lock, -1};
    pthread_t t;
    CHECK(pthread_create(&t, NULL, call_in_thread, &c), 0);
    CHECK(pthread_join(t, NULL), 0);
    return c.rc;
}

static int try_mutex(void *m)
{
    int rc = pthread_mutex_trylock(m);
    if (rc == 0)
        (void)pthread_mutex_unlock(m);
    return rc;
}

static int unlock_mutex(void *m)
{
    return pthread_mutex_unlock(m);
}

static int timed_mutex(void *m)
{
    struct timespec t = soon(CLOCK_REALTIME);
    return pthread_mutex_timedlock(m, &t);
}

static int clock_mutex(void *m)
{
    struct timespec t = soon(CLOCK_MONOTONIC);
    return pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &t);
}

static void mutex_contended(pthread_mutex_t *m)
{
    struct timespec bad = {0, 1000000000};
    CHECK(pthread_mutex_lock(m), 0);
    CHECK(from_thread(try_mutex, m), EBUSY);
    CHECK(from_thread(timed_mutex, m), ETIMEDOUT);
    CHECK(from_thread(clock_mutex, m), ETIMEDOUT);
    (void)bad;
    CHECK(pthread_mutex_unlock(m), 0);
    CHECK(from_thread(try_mutex, m), 0);
}

static void mutexes(void)
{
    static pthread_mutex_t normal = PTHREAD_MUTEX_INITIALIZER;
    static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    static pthread_mutex_t checking = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
    static pthread_mutex_t adaptive = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
    mutex_contended(&normal);
    mutex_contended(&recursive);
    mutex_contended(&checking);
    mutex_contended(&adaptive);
    CHECK(pthread_mutex_lock(&recursive), 0);
    CHECK(pthread_mutex_trylock(&recursive), 0);
    CHECK(from_thread(unlock_mutex, &recursive), EPERM);
    CHECK(pthread_mutex_unlock(&recursive), 0);
    CHECK(from_thread(try_mutex, &recursive), EBUSY);
    CHECK(pthread_mutex_unlock(&recursive), 0);
    CHECK(pthread_mutex_unlock(&recursive), EPERM);
    CHECK(pthread_mutex_lock(&checking), 0);
    CHECK(pthread_mutex_lock(&checking), EDEADLK);
    CHECK(from_thread(unlock_mutex, &checking), EPERM);
    CHECK(pthread_mutex_unlock(&checking), 0);
    CHECK(pthread_mutex_lock(&normal), 0);
    CHECK(pthread_mutex_destroy(&normal), EBUSY);
    CHECK(pthread_mutex_unlock(&normal), 0);
    CHECK(pthread_mutex_destroy(&normal), 0);
}

/* These go on to libc. */
static void robust_and_pi(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t m;
    CHECK(pthread_mutexattr_init(&attr), 0);
    CHECK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), 0);
    CHECK(pthread_mutex_init(&m, &attr), 0);
    CHECK(from_thread((int (*)(void *))pthread_mutex_lock, &m), 0); /* and ends */
    CHECK(pthread_mutex_lock(&m), EOWNERDEAD);
    CHECK(pthread_mutex_consistent(&m), 0);
    pthread_cond_t c = PTHREAD_COND_INITIALIZER;
    struct timespec t = soon(CLOCK_REALTIME);
    CHECK(pthread_cond_timedwait(&c, &m, &t), ETIMEDOUT);
    CHECK(pthread_mutex_unlock(&m), 0);
    CHECK(pthread_mutex_destroy(&m), 0);
    CHECK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_STALLED), 0);
    CHECK(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT), 0);
    CHECK(pthread_mutex_init(&m, &attr), 0);
    mutex_contended(&m);
    CHECK(pthread_mutex_destroy(&m), 0);
}

static int try_read(void *l)
{
    int rc = pthread_rwlock_tryrdlock(l);
    if (rc == 0)
        (void)pthread_rwlock_unlock(l);
    return rc;
}

static int try_write(void *l)
{
    int rc = pthread_rwlock_trywrlock(l);
    if (rc == 0)
        (void)pthread_rwlock_unlock(l);
    return rc;
}

static int timed_read(void *l)
{
    struct timespec t = soon(CLOCK_REALTIME);
    return pthread_rwlock_timedrdlock(l, &t);
}

static int clock_write(void *l)
{
    struct timespec t = soon(CLOCK_MONOTONIC);
    return pthread_rwlock_clockwrlock(l, CLOCK_MONOTONIC, &t);
}

static void rwlock(pthread_rwlock_t *l)
{
    CHECK(pthread_rwlock_rdlock(l), 0);
    CHECK(pthread_rwlock_rdlock(l), 0);
    CHECK(from_thread(try_read, l), 0);
    CHECK(from_thread(try_write, l), EBUSY);
    CHECK(from_thread(clock_write, l), ETIMEDOUT);
    CHECK(pthread_rwlock_unlock(l), 0);
    CHECK(from_thread(try_write, l), EBUSY);
    CHECK(pthread_rwlock_unlock(l), 0);
    CHECK(pthread_rwlock_wrlock(l), 0);
    CHECK(pthread_rwlock_wrlock(l), EDEADLK);
    CHECK(pthread_rwlock_rdlock(l), EDEADLK);
    CHECK(from_thread(try_read, l), EBUSY);
    CHECK(from_thread(try_write, l), EBUSY);
    CHECK(from_thread(timed_read, l), ETIMEDOUT);
    CHECK(pthread_rwlock_unlock(l), 0);
    CHECK(from_thread(try_write, l), 0);
}

static void rwlocks(void)
{
    static pthread_rwlock_t plain = PTHREAD_RWLOCK_INITIALIZER;
    static pthread_rwlock_t writer = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
    pthread_rwlockattr_t attr;
    CHECK(pthread_rwlockattr_init(&attr), 0);
    rwlock(&plain);
    rwlock(&writer);
    for (int kind = PTHREAD_RWLOCK_PREFER_READER_NP;
         kind <= PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP; kind++) {
        pthread_rwlock_t l;
        CHECK(pthread_rwlockattr_setkind_np(&attr, kind), 0);
        CHECK(pthread_rwlock_init(&l, &attr), 0);
        rwlock(&l);
        CHECK(pthread_rwlock_destroy(&l), 0);
    }
}

/* One queue, a producer, two consumers. */
static struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int items, taken;
    int done;
} queue = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0};

static void *consume(void *arg)
{
    CHECK(pthread_mutex_lock(&queue.mutex), 0);
    for (;;) {
        while (queue.items == 0 && !queue.done)
            CHECK(pthread_cond_wait(&queue.cond, &queue.mutex), 0);
        if (queue.items == 0)
            break;
        queue.items--;
        queue.taken++;
    }
    CHECK(pthread_mutex_unlock(&queue.mutex), 0);
    return arg;
}

static void conditions(void)
{
    pthread_t t[2];
    enum { ITEMS = 20000 };
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&t[i], NULL, consume, NULL), 0);
    for (int i = 0; i < ITEMS; i++) {
        (void)pthread_mutex_lock(&queue.mutex);
        queue.items++;
        (void)pthread_cond_signal(&queue.cond);
        (void)pthread_mutex_unlock(&queue.mutex);
    }
    CHECK(pthread_mutex_lock(&queue.mutex), 0);
    queue.done = 1;
    CHECK(pthread_cond_broadcast(&queue.cond), 0);
    CHECK(pthread_mutex_unlock(&queue.mutex), 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(t[i], NULL), 0);
    CHECK(queue.taken, ITEMS);
    /* A recursive mutex is given up whole; each clock ends a wait. */
    static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    pthread_condattr_t attr;
    pthread_cond_t c;
    CHECK(pthread_condattr_init(&attr), 0);
    CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), 0);
    CHECK(pthread_cond_init(&c, &attr), 0);
    struct timespec mono = soon(CLOCK_MONOTONIC), real, bad = {0, -1};
    CHECK(pthread_mutex_lock(&recursive), 0);
    CHECK(pthread_cond_timedwait(&c, &recursive, &mono), ETIMEDOUT);
    real = soon(CLOCK_REALTIME);
    CHECK(pthread_cond_clockwait(&c, &recursive, CLOCK_REALTIME, &real), ETIMEDOUT);
    CHECK(pthread_cond_timedwait(&c, &recursive, &bad), EINVAL);
    CHECK(pthread_mutex_unlock(&recursive), 0);
    CHECK(pthread_cond_destroy(&c), 0);
}

static pthread_barrier_t barrier;
static int meetings;

static void *meet(void *arg)
{
    for (int i = 0; i < 500; i++) {
        int rc = pthread_barrier_wait(&barrier);
        if (rc == PTHREAD_BARRIER_SERIAL_THREAD)
            __atomic_add_fetch(&meetings, 1, __ATOMIC_RELAXED);
        else
            CHECK(rc, 0);
    }
    return arg;
}

static void barriers(void)
{
    pthread_t t[3];
    CHECK(pthread_barrier_init(&barrier, NULL, 0), EINVAL);
    CHECK(pthread_barrier_init(&barrier, NULL, 3), 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&t[i], NULL, meet, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(t[i], NULL), 0);
    CHECK(meetings, 500);
    CHECK(pthread_barrier_destroy(&barrier), 0);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int times;

static void initialise(void)
{
    times++;
}

static void *do_once(void *arg)
{
    CHECK(pthread_once(&once, initialise), 0);
    CHECK(times, 1);
    return arg;
}

static void onces(void)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&t[i], NULL, do_once, NULL), 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL), 0);
}

/* Process-shared: a child changes a counter under the parent's locks. */
static struct shared {
    pthread_mutex_t mutex;
    pthread_rwlock_t rwlock;
    pthread_cond_t cond;
    pthread_barrier_t barrier;
    int turns, ready;
} * shared;

static void take_turns(void)
{
    for (int i = 0; i < 2000; i++) {
        CHECK(pthread_rwlock_wrlock(&shared->rwlock), 0);
        shared->turns++;
        CHECK(pthread_rwlock_unlock(&shared->rwlock), 0);
    }
    CHECK(pthread_mutex_lock(&shared->mutex), 0);
    shared->ready++;
    CHECK(pthread_cond_broadcast(&shared->cond), 0);
    while (shared->ready < 2)
        CHECK(pthread_cond_wait(&shared->cond, &shared->mutex), 0);
    CHECK(pthread_mutex_unlock(&shared->mutex), 0);
    (void)pthread_barrier_wait(&shared->barrier);
}

static void between_processes(void)
{
    pthread_mutexattr_t ma;
    pthread_rwlockattr_t ra;
    pthread_condattr_t ca;
    pthread_barrierattr_t ba;
    int status;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED, 1);
    CHECK(pthread_mutexattr_init(&ma) + pthread_rwlockattr_init(&ra) + pthread_condattr_init(&ca) +
              pthread_barrierattr_init(&ba),
          0);
    CHECK(pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED), 0);
    CHECK(pthread_rwlockattr_setpshared(&ra, PTHREAD_PROCESS_SHARED), 0);
    CHECK(pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED), 0);
    CHECK(pthread_barrierattr_setpshared(&ba, PTHREAD_PROCESS_SHARED), 0);
    CHECK(pthread_mutex_init(&shared->mutex, &ma), 0);
    CHECK(pthread_rwlock_init(&shared->rwlock, &ra), 0);
    CHECK(pthread_cond_init(&shared->cond, &ca), 0);
    CHECK(pthread_barrier_init(&shared->barrier, &ba, 2), 0);
    rwlock(&shared->rwlock);
    pid_t pid = fork();
    CHECK(pid >= 0, 1);
    take_turns();
    if (pid == 0)
        _exit(0);
    CHECK(waitpid(pid, &status, 0), pid);
    CHECK(status, 0);
    CHECK(shared->turns, 4000);
}

/* A process locks and ends. */
static void die_with(int (*lock)(void *), void *what)
{
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0, 1);
    if (pid == 0)
        _exit(lock(what));
    CHECK(waitpid(pid, &status, 0), pid);
    CHECK(status, 0);
}

/* Not libc's, and ours only where the user asks for it. */
static void holders_that_died(void)
{
    struct timespec limit;
    die_with((int (*)(void *))pthread_mutex_lock, &shared->mutex);
    limit = soon(CLOCK_REALTIME);
    CHECK(pthread_mutex_timedlock(&shared->mutex, &limit), 0);
    CHECK(pthread_mutex_trylock(&shared->mutex), EBUSY);
    CHECK(from_thread((int (*)(void *))pthread_mutex_trylock, &shared->mutex), EBUSY);
    limit = soon(CLOCK_REALTIME);
    CHECK(pthread_cond_timedwait(&shared->cond, &shared->mutex, &limit), ETIMEDOUT);
    CHECK(pthread_mutex_unlock(&shared->mutex), 0);
    CHECK(pthread_mutex_unlock(&shared->mutex), EPERM);
    die_with((int (*)(void *))pthread_mutex_lock, &shared->mutex);
    CHECK(pthread_mutex_destroy(&shared->mutex), 0);
    die_with((int (*)(void *))pthread_rwlock_rdlock, &shared->rwlock);
    limit = soon(CLOCK_REALTIME);
    CHECK(pthread_rwlock_timedwrlock(&shared->rwlock, &limit), 0);
    CHECK(pthread_rwlock_unlock(&shared->rwlock), 0);
    die_with((int (*)(void *))pthread_rwlock_wrlock, &shared->rwlock);
    limit = soon(CLOCK_REALTIME);
    CHECK(pthread_rwlock_timedrdlock(&shared->rwlock, &limit), 0);
    CHECK(pthread_rwlock_unlock(&shared->rwlock), 0);
}

/* --plain: without libc's robust mutexes, whose list an emulator of processors does not have. */
int main(int argc, char **argv)
{
    mutexes();
    if (argc < 2 || strcmp(argv[1], "--plain") != 0)
        robust_and_pi();
    rwlocks();
    conditions();
    barriers();
    onces();
    between_processes();
    if (getenv("LK_PTHREAD_ROBUST") != NULL)
        holders_that_died();
    (void)printf("%u checks held\n", checks);
    return 0;
}
