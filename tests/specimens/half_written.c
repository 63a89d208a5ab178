/* FAILURES.md 1, half_written: the lock is taken over from the dead, what it guards is used as it was
 * left.  Mended: who takes over hears of the death and repairs first.
 * Shipped: src/cache/rebuild.c, tests/model/cache_death_model.c, tests/model/cache_repair_model.c
 * Broken: --deaths 1 finds assert
 * Mended: --deaths 2 */
#include "specimen.h"

enum { NODES = 2 };
static pthread_mutex_t mutex;
static struct {
    int head, count;
    int next[NODES];
} list; /* its count is the number of its nodes */

static void insert(int node)
{
    list.next[node - 1] = list.head;
    __atomic_store_n(&list.head, node, __ATOMIC_RELAXED);
    __atomic_store_n(&list.count, list.count + 1, __ATOMIC_RELAXED);
}

static int nodes(void)
{
    int n = 0;
    for (int at = list.head; at != 0 && n <= NODES; at = list.next[at - 1])
        n++;
    return n;
}

static void *process(void *arg)
{
    lk_check_mortal(true);
    if (pthread_mutex_lock(&mutex) == EOWNERDEAD) {
        if (!BROKEN)
            __atomic_store_n(&list.count, nodes(), __ATOMIC_RELAXED);
        pthread_mutex_consistent(&mutex);
    }
    assert(list.count == nodes());
    insert((int)(long)arg + 1);
    pthread_mutex_unlock(&mutex);
    return arg;
}

int main(void)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex, &attr);
    run_threads(NODES, process);
    return 0;
}
