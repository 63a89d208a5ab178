/* Two sleep until a third is gone.  The kernel wakes one of them, which wakes the other.
 *
 * Sources: @life
 * Run: --deaths 0
 */
#include "processes.h"

static void *holder(void *arg)
{
    (void)become_process(true);
    return arg; /* its end is as good as a death */
}

static void watch(void)
{
    const uint32_t *word;
    uint32_t value, name = 1u << 10 | 2;
    while (lki_holder_watch(&presence, name, &word, &value))
        (void)lki_futex_wait(word, value, NULL, 0, NULL);
    lki_holder_mourn(&presence, name);
    assert(!lki_holder_alive(&presence, name));
}

static void *watcher(void *arg)
{
    (void)become_process(false);
    watch();
    return arg;
}

int main(void)
{
    pthread_t id[2];
    attach_all();
    (void)become_process(false);
    pthread_create(&id[0], NULL, holder, NULL);
    pthread_create(&id[1], NULL, watcher, NULL);
    watch();
    pthread_join(id[0], NULL);
    pthread_join(id[1], NULL);
    return 0;
}
