/* Two semaphores hand a value to and fro.
 * Mutant 1 (hang): one post is missing
 * Mutant 2 (race): one post too many  */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdlib.h>

#ifndef MUTANT
#define MUTANT 0
#endif
#define RLX memory_order_relaxed
#define ACQ memory_order_acquire
#define REL memory_order_release
#define SC memory_order_seq_cst

static sem_t ping, pong;
static int value;

static void *other(void *arg)
{
    for (int i = 0; i < 2; i++) {
        sem_wait(&ping);
        value++;
#if MUTANT == 1
        if (i == 0)
#endif
            sem_post(&pong);
    }
    return arg;
}

int main(void)
{
    pthread_t id;
    sem_init(&ping, 0, MUTANT == 2 ? 1 : 0);
    sem_init(&pong, 0, 0);
    pthread_create(&id, NULL, other, NULL);
    for (int i = 0; i < 2; i++) {
        value++;
        sem_post(&ping);
        sem_wait(&pong);
    }
    pthread_join(id, NULL);
    assert(value == 4);
    return 0;
}
