/* list_handover.c - a sorted list in which each node has its lock: a walk holds two neighbours at
 * most. The next lock is known only when the one before is held, so a set or levels do not fit: a
 * claim does.
 *
 *     cc list_handover.c $(pkg-config --cflags --libs latchkey) */
#include <errno.h>
#include <latchkey/latchkey.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, EACH = 500 };

struct node {
    lk_kmutex lock; /* counts its changes: the walk need not begin again if there were none */
    int number;
    struct node *next;
};

static struct node head = {.number = -1};

/* Put `fresh` in its place.  Returns how often the walk had to begin again. */
static int insert(lk_key key, struct node *fresh)
{
    LK_CLAIM(claim, 2);
    int again = -1, rc;
    lk_scope_claim (key, claim) {
begin:
        again++;
        struct node *at = &head;
        rc = lk_claim_lock(&claim, LK_LOCK(&at->lock));
        while (rc == 0 && at->next != NULL && at->next->number < fresh->number) {
            struct node *next = at->next;
            rc = lk_claim_lock(&claim, LK_LOCK(&next->lock));
            (void)lk_claim_unlock(&claim, &at->lock);
            at = next;
        }
        if (rc == EAGAIN) { /* locks were given up, and somebody changed what we had read */
            (void)lk_claim_unlock(&claim, &at->lock);
            goto begin;
        }
        fresh->next = at->next;
        at->next = fresh;
    }
    return again;
}

static void *worker(void *arg)
{
    struct node *mine = arg;
    lk_key key = lk_key_take();
    for (int i = 0; i < EACH; i++)
        (void)insert(key, &mine[i]);
    lk_key_give(key);
    return NULL;
}

int main(void)
{
    static struct node nodes[THREADS][EACH];
    pthread_t id[THREADS];
    unsigned seed = 1;
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < EACH; i++)
            nodes[t][i].number = rand_r(&seed) % 1000;
    for (int t = 0; t < THREADS; t++)
        if (pthread_create(&id[t], NULL, worker, nodes[t]) != 0)
            return 1;
    for (int t = 0; t < THREADS; t++)
        if (pthread_join(id[t], NULL) != 0)
            return 1;
    int count = 0, sorted = 1;
    for (struct node *n = head.next; n != NULL; n = n->next, count++)
        sorted = sorted && (n->next == NULL || n->number <= n->next->number);
    printf("%d nodes inserted by %d threads, %s\n", count, THREADS, sorted ? "sorted" : "unsorted");
    return count == THREADS * EACH && sorted ? 0 : 1;
}
