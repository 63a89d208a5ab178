/* The robust mutex as shipped: exclusion, publication, repair after a death, no lost wake.
 * With HELD the first thread has it already when the others come: all that sleeping and waking is,
 * with fewer beginnings.
 *
 * An unlocker that dies before its wake leaves one to the kernel, and if the one sleeper that it
 * wakes dies as well the other sleeps until its timer runs out: two deaths, not one
 * (docs/ARCHITECTURE.md).  With two the model has that timer, and the executions that needed it are
 * counted; with fewer nobody may sleep for ever.
 *
 * Sources: @life
 * Run: -DTHREADS=2
 * Run: --deaths 2 -DTHREADS=2
 * Run: -DTHREADS=3 -DHELD
 * Run: --deaths 1 -DTHREADS=3 -DHELD
 * Campaign: --deaths 2 -DTHREADS=3 -DHELD
 * Campaign: --states --deaths 2 -DTHREADS=3 -DHELD
 * Campaign: --states -DTHREADS=3
 */
#include "life/rmutex.h"
#include "processes.h"

static uint32_t mutex;
static int first, second; /* equal but inside */

static void enter(struct lki_self *self)
{
    struct lki_wait wait = {0, 0};
    int rc = lki_rmutex_lock(&mutex, self, NULL, &wait);
    if (rc == EOWNERDEAD) {
        second = first;
        assert(lki_rmutex_consistent(&mutex, self) == 0);
    } else {
        assert(rc == 0);
    }
}

static void change_and_leave(struct lki_self *self)
{
    assert(first == second);
    first++;
    second++;
    assert(lki_rmutex_unlock(&mutex, self) == 0);
}

static void *process(void *arg)
{
    struct lki_self *self = become_process(true);
    lk_check_backstop(2);
    enter(self);
    change_and_leave(self);
    return arg;
}

/* The first thread is one of them and then waits for the others, so that a sleeper is not woken by
 * the end of a holder that forgot it. */
int main(void)
{
    pthread_t id[THREADS];
    attach_all();
#ifdef HELD
    struct lki_self *self = become_process(false);
    lk_check_backstop(2);
    enter(self);
    mutex |= LKI_WORD_WAITERS;
    for (uint32_t i = 0; i < THREADS; i++)
        *token_of(i) |= LKI_WORD_WAITERS;
    lk_check_mortal(true);
#endif
    for (uintptr_t i = 1; i < THREADS; i++)
        pthread_create(&id[i], NULL, process, NULL);
#ifdef HELD
    change_and_leave(self);
#else
    (void)process(NULL);
#endif
    lk_check_mortal(false);
    for (int i = 1; i < THREADS; i++)
        pthread_join(id[i], NULL);
    return 0;
}
