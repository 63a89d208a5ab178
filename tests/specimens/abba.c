/* FAILURES.md 6, abba: two locks in two orders.  In the mended form both threads take them in one order,
 * whatever order they are named in.
 * Broken: --deaths 0 finds deadlock
 * Mended: --deaths 0 */
#include "specimen.h"

static pthread_mutex_t lock[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static int account[2] = {1, 1};

static void *transfer(void *arg)
{
    int from = (int)(long)arg, to = 1 - from;
    int first = BROKEN ? from : 0;
    pthread_mutex_lock(&lock[first]);
    pthread_mutex_lock(&lock[1 - first]);
    account[from]--;
    account[to]++;
    pthread_mutex_unlock(&lock[1 - first]);
    pthread_mutex_unlock(&lock[first]);
    return arg;
}

int main(void)
{
    run_threads(2, transfer);
    assert(account[0] == 1 && account[1] == 1);
    return 0;
}
