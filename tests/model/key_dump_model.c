/* The picture of what the keys wait for, as shipped: another thread that waits twice, for two locks
 * at two places, is never said to wait for one of them at the other's place.
 *
 * Sources: src/key/member.c
 * Run:
 */
#include "key_seam.h"

#include <stdio.h>

/* With a write() of the model's. */
#define write model_write
#include "key/picture.c"
#undef write

static lk_mutex lock[2];
static const char *const place[2] = {"one", "two"};
static struct lk_key_ waiter;

/* ---- what picture.c stands on */

void lki_key_each(void (*fn)(struct lk_key_ *k, void *arg), void *arg)
{
    fn(&waiter, arg);
}

/* What the picture says: nothing, or a lock with its own place. */
ssize_t model_write(int fd, const void *text, size_t n)
{
    char said[200], expected[64];
    (void)fd;
    assert(n < sizeof said);
    memcpy(said, text, n);
    said[n] = 0;
    const char *waits = strstr(said, "waits for");
    for (int i = 0; i < 2 && waits != NULL; i++) {
        (void)snprintf(expected, sizeof expected, "waits for %p at %s", (void *)&lock[i], place[i]);
        if (strstr(said, expected) != NULL)
            return (ssize_t)n;
    }
    assert(waits == NULL);
    return (ssize_t)n;
}

/* ---- the run */

static void *waits_twice(void *arg)
{
    for (uint32_t i = 0; i < 2; i++) {
        const lk_member m = {.lock_ = &lock[i], .what_ = LK_HOW_MUTEX_};
        assert(lki_member_lock(&waiter, &m, false, place[i], NULL) == 0);
        lki_member_unlock(&m, false, false);
    }
    return arg;
}

int main(void)
{
    pthread_t id;
    for (int i = 0; i < 2; i++)
        lk_mutex_lock(&lock[i]);
    pthread_create(&id, NULL, waits_twice, NULL);
    lk_mutex_unlock(&lock[0]);
    assert(lk_key_dump(1) == 0);
    lk_mutex_unlock(&lock[1]);
    pthread_join(id, NULL);
    return 0;
}
