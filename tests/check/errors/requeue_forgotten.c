/* A sleeper is moved to another word's queue, and then woken where it is no longer.
 * Expect: hang */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int from, to;

static void *sleeper(void *p)
{
    syscall(SYS_futex, &from, FUTEX_WAIT, 0, NULL, NULL, 0);
    return p;
}

int main(void)
{
    pthread_t t;
    pthread_create(&t, NULL, sleeper, NULL);
    atomic_store(&from, 1);
    syscall(SYS_futex, &from, FUTEX_REQUEUE, 0, (void *)1, &to, 0);
    syscall(SYS_futex, &from, FUTEX_WAKE, 1, NULL, NULL, 0);
    pthread_join(t, NULL);
    return 0;
}
