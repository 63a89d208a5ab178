/* The number of a dead process may be a stranger's: who asks for it alone waits for ever.
 * Options: --deaths 1 --pid-reuse
 * Expect: hang */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include <latchkey/check.h>

static atomic_int owner;

static void lock(void)
{
    int seen = 0, me = getpid();
    while (!atomic_compare_exchange_strong(&owner, &seen, me)) {
        if (kill(seen, 0) == 0)
            seen = 0;
    }
}

static void *process(void *arg)
{
    lk_check_mortal(true);
    lock();
    atomic_store(&owner, 0);
    return arg;
}

int main(void)
{
    pthread_t id;
    pthread_create(&id, NULL, process, NULL);
    lock();
    atomic_store(&owner, 0);
    pthread_join(id, NULL);
    return 0;
}
