/* Asking for a lock until it is free is waiting, whatever is noted meanwhile, if it is the same.
 * Options: --executions 1000
 * Expect: none */
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_spinlock_t spin;
static sem_t sem;
static bool busy[3];
static int n;

static void *adder(void *p)
{
    bool *note = p;
    while (pthread_mutex_trylock(&mutex) != 0)
        *note = true;
    while (pthread_spin_trylock(&spin) != 0)
        *note = true;
    n++;
    pthread_spin_unlock(&spin);
    pthread_mutex_unlock(&mutex);
    sem_post(&sem);
    return p;
}

int main(void)
{
    pthread_t a, b;
    pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
    sem_init(&sem, 0, 0);
    pthread_create(&a, NULL, adder, &busy[0]);
    pthread_create(&b, NULL, adder, &busy[1]);
    for (int i = 0; i < 2; i++)
        while (sem_trywait(&sem) != 0)
            busy[2] = true;
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    return n == 2 ? 0 : 1;
}
