/* The robust mutex beside attaching: a process attaches and locks while another, attached already,
 * looks at the mutex.  A holder that has just attached must not be taken for dead.
 *
 * Sources: @life src/life/attach.c
 * Run: --deaths 0 -DSLOTS=2 -DROUNDS=1
 * Run: --deaths 1 -DSLOTS=2 -DROUNDS=1
 * Run: --deaths 0 -DSLOTS=2 -DROUNDS=2
 */
#include <assert.h>
#include <pthread.h>

#include "kernel_attach.h"
#include "life/rmutex.h"
#include "seam.h"

enum { PROCESSES = 2 };

static struct lki_presence presence[PROCESSES]; /* each process has its own */
static uint32_t mutex;
static int first, second; /* equal but inside */

static void use(struct lki_presence *p)
{
    struct lki_self *self = NULL;
    struct lki_wait wait = {0, 0};
    assert(lki_attach(p, &self) == 0);
    int rc = lki_rmutex_lock(&mutex, self, NULL, &wait);
    if (rc == EOWNERDEAD) {
        assert(lk_check_dead(1)); /* nobody else can die */
        second = first;
        assert(lki_rmutex_consistent(&mutex, self) == 0);
    } else {
        assert(rc == 0);
    }
    assert(first == second);
    first++;
    second++;
    assert(lki_rmutex_unlock(&mutex, self) == 0);
}

static void *process(void *arg)
{
    lk_check_mortal(true);
    use(&presence[1]);
    lki_detach(&presence[1]);
    return arg;
}

int main(void)
{
    pthread_t id;
    struct lki_presence *made;
    assert(lki_presence_new(&made, pages, 0, SLOTS, PAGE, 3, true) == 0);
    for (int i = 0; i < PROCESSES; i++)
        presence[i] = *made;
    pthread_create(&id, NULL, process, NULL);
    for (int i = 0; i < ROUNDS; i++)
        use(&presence[0]);
    lki_detach(&presence[0]);
    pthread_join(id, NULL);
    lki_presence_put(made);
    return 0;
}
