/* A look at the robust mutex from outside: what is read after it is not older than the state that
 * it saw, be it held (by who wrote first and locked then) or lost (by who wrote and left it
 * unrepaired).
 *
 * Sources: @life
 * Run: -DLOST=0
 * Run: -DLOST=1
 */
#include "base/atomic.h"
#include "life/rmutex.h"
#include "processes.h"

static uint32_t mutex, written;

static void *holder(void *arg)
{
    struct lki_self *self = become_process(false);
    struct lki_wait wait = {0, 0};
    lk_store_rlx_u32(&written, 1);
    if (!LOST)
        assert(lki_rmutex_lock(&mutex, self, NULL, &wait) == 0);
    assert(lki_rmutex_unlock(&mutex, self) == 0);
    return arg;
}

int main(void)
{
    pthread_t id;
    attach_all();
    (void)become_process(false);
    if (LOST) /* as EOWNERDEAD hands it over: INCONSISTENT and its holder */
        mutex = 0x40000000u | attachments[1].holder;
    pthread_create(&id, NULL, holder, NULL);
    enum lki_rmutex_state state = lki_rmutex_look(&mutex, &presence);
    if (state == (LOST ? LKI_RMUTEX_LOST : LKI_RMUTEX_HELD))
        assert(lk_load_rlx_u32(&written) == 1);
    pthread_join(id, NULL);
    assert(lki_rmutex_look(&mutex, &presence) == (LOST ? LKI_RMUTEX_LOST : LKI_RMUTEX_FREE));
    return 0;
}
