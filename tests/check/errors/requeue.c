/* A sleeper that is moved to another word's queue is woken there, and only there; the move that
 * compares does nothing if the word has changed.
 * Expect: none */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
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
    pthread_t t[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, sleeper, NULL);
    atomic_store(&from, 1);
    assert(syscall(SYS_futex, &from, FUTEX_CMP_REQUEUE, 1, (void *)9, &to, 0) == -1);
    assert(errno == EAGAIN);
    long reached = syscall(SYS_futex, &from, FUTEX_CMP_REQUEUE, 1, (void *)9, &to, 1);
    long left = syscall(SYS_futex, &from, FUTEX_WAKE, 9, NULL, NULL, 0);
    long moved = syscall(SYS_futex, &to, FUTEX_WAKE, 9, NULL, NULL, 0);
    assert(left == 0 && moved == (reached == 2));
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    return 0;
}
