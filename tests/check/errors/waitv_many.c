/* A sleeper that watches four words is woken by whoever changes one of them.
 * Options: --deaths 0
 * Expect: none */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <latchkey/check.h>

static _Atomic uint32_t word[4];

static void *change(void *arg)
{
    _Atomic uint32_t *w = arg;
    atomic_store(w, 1);
    lk_check_futex_wake((uint32_t *)w, 1);
    return NULL;
}

int main(void)
{
    pthread_t id[2];
    struct lk_check_watch w[4];
    for (int i = 0; i < 4; i++)
        w[i] = (struct lk_check_watch){(uint32_t *)&word[i], 0};
    pthread_create(&id[0], NULL, change, &word[1]);
    pthread_create(&id[1], NULL, change, &word[3]);
    int rc = lk_check_futex_waitv(w, 4, false);
    assert(rc == 0 || rc == EAGAIN);
    assert(atomic_load(&word[1]) == 1 || atomic_load(&word[3]) == 1);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    return 0;
}
