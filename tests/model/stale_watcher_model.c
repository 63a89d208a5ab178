/* One process sleeps for a mutex and watches its holder, which unlocks it: the two wakes go to
 * others.  The holder goes on to die while it has a second mutex, for which another process sleeps:
 * the kernel wakes one of the two, whichever, and the one with the second mutex may not sleep on.
 * Kills: life.stale_watcher.
 *
 * Sources: @life
 * Run: --deaths 1
 */
#include "base/futex.h"
#include "life/rmutex.h"
#include "processes.h"

static uint32_t first, second;

static void lock(uint32_t *mutex, struct lki_self *self)
{
    struct lki_wait wait = {0, 0};
    int rc = lki_rmutex_lock(mutex, self, NULL, &wait);
    assert(rc == 0 || rc == EOWNERDEAD);
    if (rc == EOWNERDEAD)
        assert(lki_rmutex_consistent(mutex, self) == 0);
}

static void *stale(void *arg)
{
    struct lki_self *self = become_process(false);
    lock(&first, self);
    assert(lki_rmutex_unlock(&first, self) == 0);
    return arg;
}

/* When it has had the second mutex it does what is left of the others' work, who were woken for the
 * first one. */
static void *other(void *arg)
{
    struct lki_self *self = become_process(false);
    lock(&second, self);
    assert(lki_rmutex_unlock(&second, self) == 0);
    (void)lki_futex_wake(&first, 2);
    return arg;
}

int main(void)
{
    pthread_t id[2];
    attach_all();
    struct lki_self *self = become_process(false);
    first = self->holder | LKI_WORD_WAITERS;
    second = first;
    *self->token |= LKI_WORD_WAITERS;
    pthread_create(&id[0], NULL, stale, NULL);
    pthread_create(&id[1], NULL, other, NULL);
    __atomic_store_n(&first, LKI_WORD_WAITERS, __ATOMIC_RELEASE);
    lk_check_mortal(true);
    assert(lki_rmutex_unlock(&second, self) == 0);
    lk_check_mortal(false);
    pthread_join(id[0], NULL);
    pthread_join(id[1], NULL);
    return 0;
}
