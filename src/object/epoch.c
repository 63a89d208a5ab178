/* epoch.c - sections, and when the last one that could see a state has ended.
 *
 * `now` counts retirements.  A section writes the count into its thread's word.  What was made
 * unreachable and then retired in epoch e can be seen by sections with a word <= e only:
 * - a section that read `now` > e did so behind [epoch.3], and sees the object without it;
 * - one that entered, [epoch.1], behind the look at its word, [epoch.4], sees it without as well:
 * both
 *   are read-modify-writes of one word, so the later reads what the earlier released;
 * - one that entered before that look is seen by it. */
#include "object/epoch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "latchkey/mutex.h"
#include "latchkey/object.h"

static uint64_t now = 1;
static struct lki_thread *threads; /* all records; grows at the head */
static lk_mutex threads_lock;
__thread struct lki_thread *lki_thread_mine __attribute__((tls_model("initial-exec")));
static pthread_key_t ending;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The thread ends: its section does too, and its record is for another. */
static void thread_ends(void *arg)
{
    struct lki_thread *t = arg;
    lki_thread_mine = NULL;
    t->nest = 0;
    t->serial++;
    /* [epoch.5] release, pairs with [epoch.4]: what the section read is read. */
    lk_store_rel_u64(&t->inside, 0);
    lk_mutex_lock(&threads_lock);
    t->taken = 0;
    lk_mutex_unlock(&threads_lock);
}

static void make_key(void)
{
    (void)pthread_key_create(&ending, thread_ends);
}

static struct lki_thread *take_record(void)
{
    lk_mutex_lock(&threads_lock);
    struct lki_thread *t = threads;
    while (t != NULL && t->taken)
        t = t->next;
    if (t == NULL && (t = aligned_alloc(64, sizeof *t)) != NULL) {
        *t = (struct lki_thread){.next = threads};
        threads = t;
    }
    if (t != NULL)
        t->taken = 1;
    lk_mutex_unlock(&threads_lock);
    return t;
}

struct lki_thread *lki_thread_self(void)
{
    if (lki_thread_mine != NULL)
        return lki_thread_mine;
    (void)pthread_once(&once, make_key);
    struct lki_thread *t = take_record();
    if (t != NULL && pthread_setspecific(ending, t) != 0) {
        thread_ends(t);
        return NULL;
    }
    return lki_thread_mine = t;
}

int lk_section_begin(void)
{
    struct lki_thread *t = lki_thread_mine != NULL ? lki_thread_mine : lki_thread_self();
    if (t == NULL)
        return ENOMEM;
    if (t->nest++ != 0)
        return 0;
    t->serial++;
    uint64_t outside = 0;
    /* [epoch.2] acquire, pairs with [epoch.3]: what was retired before is unreachable. */
    uint64_t epoch = lk_load_acq_u64(&now);
    /* [epoch.1] acquire, pairs with [epoch.4]: see above.  It releases nothing itself, and as a
     * read-modify-write it carries on what the section before released.  It cannot fail: others
     * write only what they read. */
    (void)lk_cas_acq_u64(&t->inside, &outside, epoch);
    return 0;
}

void lk_section_end(void)
{
    struct lki_thread *t = lki_thread_mine;
    if (t == NULL || t->nest == 0 || --t->nest != 0)
        return;
    t->serial++;
    /* [epoch.6] release, pairs with [epoch.4]: what the section read is read. */
    lk_store_rel_u64(&t->inside, 0);
}

bool lk_section_inside(void)
{
    return lki_thread_mine != NULL && lki_thread_mine->nest != 0;
}

uint64_t lki_epoch_retire(void)
{
    /* [epoch.7] relaxed: under the caller's lock, which guards it. */
    uint64_t epoch = lk_load_rlx_u64(&now);
    /* [epoch.3] release, pairs with [epoch.2]: the state was made unreachable before. */
    lk_store_rel_u64(&now, epoch + 1);
    return epoch;
}

uint64_t lki_epoch_oldest(void)
{
    uint64_t oldest = UINT64_MAX;
    lk_mutex_lock(&threads_lock);
    for (struct lki_thread *t = threads; t != NULL; t = t->next) {
        uint64_t seen = 0;
        /* [epoch.4] acq_rel, pairs with [epoch.1] [epoch.5] [epoch.6]: changes nothing, but stands
         * in the order of the word's changes. */
        while (!lk_cas_acqrel_u64(&t->inside, &seen, seen))
            ;
        if (seen != 0 && seen < oldest)
            oldest = seen;
    }
    lk_mutex_unlock(&threads_lock);
    return oldest;
}

void lki_epoch_forked(void)
{
    lk_mutex_init(&threads_lock, 0);
    for (struct lki_thread *t = threads; t != NULL; t = t->next)
        if (t != lki_thread_mine) {
            t->inside = 0;
            t->nest = 0;
            t->taken = 0;
            t->waits = NULL;
        }
}
