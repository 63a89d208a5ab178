/* options.c - the environment, libc's functions, thread ids. */
#include "interpose.h"
#include "order.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__thread uint32_t lkp_tid_cache;

enum { KNOWN = 0x100, ALL = LKP_MUTEX | LKP_RWLOCK | LKP_BARRIER | LKP_ONCE };
static _Atomic unsigned chosen; /* 0, or KNOWN and the families */
static _Atomic bool resolved;
static struct lkp_real real;

static unsigned family_named(const char *word, size_t size)
{
    static const struct {
        const char *name;
        unsigned family;
    } names[] = {{"mutex", LKP_MUTEX},
                 {"cond", LKP_MUTEX},
                 {"rwlock", LKP_RWLOCK},
                 {"barrier", LKP_BARRIER},
                 {"once", LKP_ONCE},
                 {"all", ALL},
                 {"none", 0}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i].name) == size && strncmp(names[i].name, word, size) == 0)
            return names[i].family;
    }
    (void)fprintf(stderr, "latchkey-pthread: LK_PTHREAD: no family '%.*s'\n", (int)size, word);
    return 0;
}

static unsigned choose(void)
{
    const char *list = secure_getenv("LK_PTHREAD");
    unsigned families = list == NULL ? ALL : 0;
    while (list != NULL && *list != 0) {
        size_t size = strcspn(list, ",");
        families |= family_named(list, size);
        list += size + (list[size] == ',');
    }
    return families | KNOWN;
}

bool lkp_chosen(enum lkp_family family)
{
    unsigned now = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (__builtin_expect(now == 0, 0)) {
        now = choose(); /* the same for every thread that comes here first */
        atomic_store_explicit(&chosen, now, memory_order_relaxed);
    }
    return (now & family) != 0;
}

const char *lkp_robust_name(void)
{
    const char *name = secure_getenv("LK_PTHREAD_ROBUST");
    if (name == NULL || *name == 0 || strcmp(name, "0") == 0)
        return NULL;
    return strcmp(name, "1") == 0 ? "pthread" : name;
}

/* A function pointer through an object pointer, as dlsym(3) has it. */
static void find(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, sizeof found);
}

static void resolve(void)
{
    find(&real.mutex_init, "pthread_mutex_init");
    find(&real.mutex_destroy, "pthread_mutex_destroy");
    find(&real.mutex_lock, "pthread_mutex_lock");
    find(&real.mutex_trylock, "pthread_mutex_trylock");
    find(&real.mutex_timedlock, "pthread_mutex_timedlock");
    find(&real.mutex_clocklock, "pthread_mutex_clocklock");
    find(&real.mutex_unlock, "pthread_mutex_unlock");
    find(&real.cond_init, "pthread_cond_init");
    find(&real.cond_destroy, "pthread_cond_destroy");
    find(&real.cond_wait, "pthread_cond_wait");
    find(&real.cond_timedwait, "pthread_cond_timedwait");
    find(&real.cond_clockwait, "pthread_cond_clockwait");
    find(&real.cond_signal, "pthread_cond_signal");
    find(&real.cond_broadcast, "pthread_cond_broadcast");
    find(&real.rwlock_init, "pthread_rwlock_init");
    find(&real.rwlock_destroy, "pthread_rwlock_destroy");
    find(&real.rwlock_rdlock, "pthread_rwlock_rdlock");
    find(&real.rwlock_tryrdlock, "pthread_rwlock_tryrdlock");
    find(&real.rwlock_timedrdlock, "pthread_rwlock_timedrdlock");
    find(&real.rwlock_clockrdlock, "pthread_rwlock_clockrdlock");
    find(&real.rwlock_wrlock, "pthread_rwlock_wrlock");
    find(&real.rwlock_trywrlock, "pthread_rwlock_trywrlock");
    find(&real.rwlock_timedwrlock, "pthread_rwlock_timedwrlock");
    find(&real.rwlock_clockwrlock, "pthread_rwlock_clockwrlock");
    find(&real.rwlock_unlock, "pthread_rwlock_unlock");
    find(&real.barrier_init, "pthread_barrier_init");
    find(&real.barrier_destroy, "pthread_barrier_destroy");
    find(&real.barrier_wait, "pthread_barrier_wait");
    find(&real.once, "pthread_once");
    find(&real.dlopen, "dlopen");
}

const struct lkp_real *lkp_real(void)
{
    if (!atomic_load_explicit(&resolved, memory_order_acquire)) {
        resolve(); /* as in lkp_chosen() */
        atomic_store_explicit(&resolved, true, memory_order_release);
    }
    return &real;
}

uint32_t lkp_tid_slowly(void)
{
    lkp_tid_cache = (uint32_t)gettid();
    return lkp_tid_cache;
}

static void in_child(void)
{
    lkp_tid_cache = 0;
    lkp_order_child();
}

__attribute__((constructor)) static void begin(void)
{
    (void)lkp_real();
    (void)lkp_chosen(LKP_MUTEX);
    (void)pthread_atfork(NULL, NULL, in_child);
    lkp_order_begin();
}
