/* Objects that load themselves: what threads may see of one while it is loaded, fails, is evicted.
 * Kills: object.published_early, object.failure_not_told, object.cycle_overlooked,
 * object.freed_in_a_section. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/db.h"
#include "test.h"

/* ---- the nine observations ------------------------------------------------------------------ */

enum { ENTRIES = 200 };

/* A store whose loads wait while it is parked. */
static lk_store inner;
static atomic_int parked, waiting;

static int parked_load(void *store, void *snap, uint64_t oid, lk_store_take *take, void *arg)
{
    atomic_fetch_add(&waiting, 1);
    while (atomic_load(&parked))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return inner.ops->load(store, snap, oid, take, arg);
}

static struct lk_bytes key_of(unsigned char key[8], int i)
{
    lk_key_int64(key, i);
    return (struct lk_bytes){key, 8};
}

static lk_db *db;
static lk_view *view;
static lk_tree *tree;
static atomic_int right;

static int count_leaf(void *arg, uint32_t entries)
{
    *(uint32_t *)arg += entries;
    return 0;
}

static int sum(bool set)
{
    lk_cursor c;
    lk_set *s;
    struct lk_bytes key;
    int n = 0, rc;
    if (set) {
        T_REQUIRE_RC(lk_set_begin(&s, LK_SET_UNION, (lk_tree *[]){tree, tree}, 2), 0);
        while ((rc = lk_set_next(s, &key, NULL)) == 0)
            T_REQUIRE_EQ(lk_key_to_int64(key.at), n++);
        lk_set_end(s);
    } else {
        T_REQUIRE_RC(lk_cursor_begin(&c, tree, NULL, false), 0);
        while ((rc = lk_cursor_next(&c, &key, NULL)) == 0)
            T_REQUIRE_EQ(lk_key_to_int64(key.at), n++);
        lk_cursor_end(&c);
    }
    T_REQUIRE_RC(rc, ENOENT);
    return n;
}

static void write_one(void)
{
    lk_txn *x;
    lk_tree *t;
    unsigned char key[8];
    T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
    T_REQUIRE_RC(lk_txn_tree(x, "t", NULL, &t), 0);
    T_REQUIRE_RC(lk_tree_put(t, key_of(key, ENTRIES), (struct lk_bytes){"", 0}, NULL), 0);
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
}

static void *observe(void *arg)
{
    unsigned char key[8];
    struct lk_bytes k, v;
    uint64_t n;
    uint32_t leaves = 0;
    T_REQUIRE_RC(lk_section_begin(), 0);
    switch ((int)(intptr_t)arg) {
    case 0:
        T_REQUIRE_RC(lk_tree_count(tree, NULL, &n), 0);
        T_REQUIRE_EQ(n, ENTRIES);
        break;
    case 1:
        T_REQUIRE_RC(lk_tree_get(tree, key_of(key, 123), &v), 0);
        T_REQUIRE(v.size == 3 && memcmp(v.at, "123", 3) == 0);
        break;
    case 2:
        T_REQUIRE_EQ(sum(false), ENTRIES);
        break;
    case 3:
        T_REQUIRE_RC(lk_tree_min(tree, NULL, &k, NULL), 0);
        T_REQUIRE_EQ(lk_key_to_int64(k.at), 0);
        break;
    case 4:
        T_REQUIRE_RC(lk_tree_max(tree, NULL, &k, NULL), 0);
        T_REQUIRE_EQ(lk_key_to_int64(k.at), ENTRIES - 1);
        break;
    case 5:
        T_REQUIRE_RC(lk_tree_get(tree, key_of(key, ENTRIES), &v), ENOENT);
        break;
    case 6:
        T_REQUIRE_RC(lk_tree_check(tree), 0);
        T_REQUIRE_RC(lk_tree_leaves(tree, count_leaf, &leaves), 0);
        T_REQUIRE_EQ(leaves, ENTRIES);
        break;
    case 7:
        T_REQUIRE_EQ(sum(true), ENTRIES);
        break;
    default:
        write_one();
    }
    lk_section_end();
    atomic_fetch_add(&right, 1);
    return NULL;
}

static void fill(const lk_store *store)
{
    lk_db *d;
    lk_txn *x;
    lk_tree *t;
    T_REQUIRE_RC(lk_db_open_on(&d, store, NULL), 0);
    T_REQUIRE_RC(lk_txn_begin(d, &x), 0);
    T_REQUIRE_RC(lk_txn_tree(x, "t", &(struct lk_tree_options){8, 8}, &t), 0);
    for (int i = 0; i < ENTRIES; i++) {
        unsigned char key[8];
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        T_REQUIRE_RC(lk_tree_put(t, key_of(key, i), (struct lk_bytes){text, strlen(text)}, NULL),
                     0);
    }
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
    lk_db_close(d);
}

/* Each of the nine looks at a tree whose nodes are being loaded by a loader that does not get on:
 * it may wait, and must not see anything but the whole. */
T_TEST(nothing_half_loaded_is_seen_by_nine_observers)
{
    T_REQUIRE_RC(lk_store_open(&inner, "mem:", NULL), 0);
    fill(&inner);
    struct lk_store_ops ops = *inner.ops;
    ops.load = parked_load;
    lk_store slow = {&ops, inner.at};
    for (int round = 0; round < 3; round++) {
        pthread_t id[9];
        T_REQUIRE_RC(lk_db_open_on(&db, &slow, NULL), 0);
        T_REQUIRE_RC(lk_db_view_at(db, 1, &view), 0);
        T_REQUIRE_RC(lk_view_tree(view, "t", &tree), 0);
        right = 0;
        waiting = 0;
        atomic_store(&parked, 1);
        for (intptr_t i = 0; i < 9; i++)
            T_REQUIRE(pthread_create(&id[i], NULL, observe, (void *)i) == 0);
        for (int ms = 0; atomic_load(&waiting) == 0 || ms < 30; ms++)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        T_REQUIRE(atomic_load(&right) <= 1); /* the count needs no node */
        atomic_store(&parked, 0);
        for (int i = 0; i < 9; i++)
            pthread_join(id[i], NULL);
        T_REQUIRE_EQ(atomic_load(&right), 9);
        lk_view_end(view);
        lk_db_close(db);
    }
    lk_store_close(&inner);
}

/* ---- loaders that misbehave ----------------------------------------------------------------- */

struct thing {
    lk_object object;
    int number;
    struct thing *other; /* that its loader uses */
};

static lk_heap *heap;
static atomic_int loads, freed, fails, hold, inside;
static sem_t arrived;

static int load_thing(lk_object *o, void *arg, void **state, size_t *bytes)
{
    struct thing *t = (struct thing *)(void *)o;
    void *seen;
    (void)arg;
    atomic_fetch_add(&loads, 1);
    atomic_fetch_add(&inside, 1);
    while (atomic_load(&hold))
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    if (t->number < 0)
        pthread_exit(NULL);
    if (t->other != NULL) {
        sem_post(&arrived);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        int rc = lk_object_use(heap, &t->other->object, NULL, &seen);
        if (rc != 0)
            return rc;
    }
    if (atomic_load(&fails) > 0) {
        atomic_fetch_sub(&fails, 1);
        return EIO;
    }
    int *made = malloc(2 * sizeof *made);
    made[0] = t->number;
    made[1] = ~t->number;
    *state = made;
    *bytes = 2 * sizeof *made;
    return 0;
}

static void free_thing(void *state)
{
    int *made = state;
    made[0] = made[1] = 0;
    free(made);
    atomic_fetch_add(&freed, 1);
}

static const struct lk_class thing_class = {
    .name = "thing", .load = load_thing, .free = free_thing};

static void begin(struct thing *t, int n, const struct lk_heap_options *limit)
{
    T_REQUIRE_RC(lk_heap_new(&heap, limit), 0);
    for (int i = 0; i < n; i++)
        t[i] = (struct thing){.object = {.class_ = &thing_class}, .number = i + 1};
    sem_init(&arrived, 0, 0);
}

static void finish(struct thing *t, int n)
{
    for (int i = 0; i < n; i++)
        lk_object_drop(heap, &t[i].object);
    lk_heap_free(heap);
}

/* The result, and the number that was seen. */
static int use(struct thing *t, int *number)
{
    void *state;
    T_REQUIRE_RC(lk_section_begin(), 0);
    int rc = lk_object_use(heap, &t->object, NULL, &state);
    if (rc == 0) {
        int *made = state;
        T_REQUIRE_EQ(made[0], ~made[1]);
        *number = made[0];
    }
    lk_section_end();
    return rc;
}

static void *use_once(void *arg)
{
    int number = 0, rc = use(arg, &number);
    if (rc == 0)
        T_REQUIRE_EQ(number, ((struct thing *)arg)->number);
    return (void *)(intptr_t)rc;
}

static void wait_for_waiters(uint64_t n)
{
    struct lk_heap_stat s = {0};
    while (s.waited < n) {
        lk_heap_stat(heap, &s);
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
}

/* Three ask for one object whose loader fails: one load, three errors, a ghost; then it works. */
T_TEST(a_failed_load_is_told_to_all_that_waited)
{
    struct thing t[1];
    pthread_t id[3];
    begin(t, 1, NULL);
    fails = 1;
    hold = 1;
    for (int i = 0; i < 3; i++)
        T_REQUIRE(pthread_create(&id[i], NULL, use_once, t) == 0);
    wait_for_waiters(2);
    T_REQUIRE_EQ(lk_object_state(heap, &t->object), LK_OBJECT_LOADING);
    hold = 0;
    for (int i = 0; i < 3; i++) {
        void *rc;
        pthread_join(id[i], &rc);
        T_REQUIRE_EQ((intptr_t)rc, EIO);
    }
    T_REQUIRE_EQ(lk_object_state(heap, &t->object), LK_OBJECT_GHOST);
    T_REQUIRE_EQ(loads, 1);
    T_REQUIRE_EQ((intptr_t)use_once(t), 0);
    T_REQUIRE_EQ(lk_object_state(heap, &t->object), LK_OBJECT_LOADED);
    finish(t, 1);
}

T_TEST(a_loader_whose_thread_ends_leaves_a_ghost)
{
    struct thing t[1];
    pthread_t id, other;
    void *rc;
    begin(t, 1, NULL);
    t->number = -1;
    hold = 1;
    T_REQUIRE(pthread_create(&id, NULL, use_once, t) == 0);
    while (atomic_load(&inside) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    T_REQUIRE(pthread_create(&other, NULL, use_once, t) == 0);
    wait_for_waiters(1);
    hold = 0;
    pthread_join(id, NULL);
    pthread_join(other, &rc);
    T_REQUIRE_EQ((intptr_t)rc, ECANCELED);
    T_REQUIRE_EQ(lk_object_state(heap, &t->object), LK_OBJECT_GHOST);
    t->number = 7;
    T_REQUIRE_EQ((intptr_t)use_once(t), 0);
    finish(t, 1);
}

T_TEST(a_cancelled_loader_leaves_a_ghost)
{
    struct thing t[1];
    pthread_t id;
    begin(t, 1, NULL);
    hold = 1;
    T_REQUIRE(pthread_create(&id, NULL, use_once, t) == 0);
    while (atomic_load(&inside) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    pthread_cancel(id); /* it sleeps in nanosleep(), a cancellation point */
    pthread_join(id, NULL);
    hold = 0;
    T_REQUIRE_EQ(lk_object_state(heap, &t->object), LK_OBJECT_GHOST);
    T_REQUIRE_EQ((intptr_t)use_once(t), 0);
    finish(t, 1);
}

T_TEST(a_loader_that_uses_its_own_object_gets_edeadlk)
{
    struct thing t[1];
    begin(t, 1, NULL);
    t->other = t;
    T_REQUIRE_EQ((intptr_t)use_once(t), EDEADLK);
    t->other = NULL;
    T_REQUIRE_EQ((intptr_t)use_once(t), 0);
    finish(t, 1);
}

/* Loading a uses b, loading b uses a: one of the two threads is refused, and nobody hangs. */
T_TEST(a_circle_of_loaders_is_broken)
{
    struct thing t[2];
    pthread_t id[2];
    int refused = 0;
    begin(t, 2, NULL);
    t[0].other = &t[1];
    t[1].other = &t[0];
    for (int i = 0; i < 2; i++)
        T_REQUIRE(pthread_create(&id[i], NULL, use_once, &t[i]) == 0);
    for (int i = 0; i < 2; i++) {
        void *rc;
        pthread_join(id[i], &rc);
        refused += (intptr_t)rc == EDEADLK;
        T_REQUIRE((intptr_t)rc == EDEADLK || rc == NULL);
    }
    T_REQUIRE(refused >= 1);
    finish(t, 2);
}

T_TEST(outside_a_section_nothing_is_loaded)
{
    struct thing t[1];
    void *state;
    begin(t, 1, NULL);
    T_REQUIRE_RC(lk_object_use(heap, &t->object, NULL, &state), EPERM);
    finish(t, 1);
}

/* ---- eviction ------------------------------------------------------------------------------- */

T_TEST(what_a_section_has_seen_stays_until_it_ends)
{
    struct thing t[1];
    void *state;
    struct lk_heap_stat s;
    begin(t, 1, NULL);
    T_REQUIRE_RC(lk_section_begin(), 0);
    T_REQUIRE_RC(lk_section_begin(), 0); /* they nest: a count, not a flag */
    T_REQUIRE_RC(lk_object_use(heap, &t->object, NULL, &state), 0);
    T_REQUIRE(lk_object_evict(heap, &t->object));
    T_REQUIRE(!lk_object_evict(heap, &t->object));
    lk_section_end();
    lk_heap_collect(heap);
    T_REQUIRE_EQ(((int *)state)[0], 1);
    T_REQUIRE_EQ(freed, 0);
    lk_section_end();
    lk_heap_collect(heap);
    T_REQUIRE_EQ(freed, 1);
    lk_heap_stat(heap, &s);
    T_REQUIRE(s.retired == 0 && s.objects == 0 && s.bytes == 0 && s.evicted == 1);
    finish(t, 1);
}

enum { THINGS = 16, THREADS = 3, ROUNDS = 4000 };
static struct thing things[THINGS];

static void *use_many(void *arg)
{
    unsigned x = (unsigned)(intptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        T_REQUIRE_RC(lk_section_begin(), 0);
        for (int k = 0; k < 4; k++) {
            void *state;
            x = x * 1664525u + 1013904223u;
            int at = (int)(x >> 20) % THINGS;
            int rc = lk_object_use(heap, &things[at].object, NULL, &state);
            T_REQUIRE(rc == 0 || rc == EIO);
            if (rc == 0)
                T_REQUIRE(((int *)state)[0] == at + 1 && ((int *)state)[1] == ~(at + 1));
        }
        lk_section_end();
        if ((x >> 9) % 64 == 0)
            atomic_fetch_add(&fails, 1);
        if ((x >> 8) % 16 == 0)
            (void)lk_object_evict(heap, &things[(x >> 24) % THINGS].object);
    }
    return NULL;
}

T_TEST(loads_failures_and_evictions_under_use)
{
    pthread_t id[THREADS];
    struct lk_heap_stat s;
    begin(things, THINGS, &(struct lk_heap_options){.limit_objects = 5});
    for (intptr_t i = 0; i < THREADS; i++)
        T_REQUIRE(pthread_create(&id[i], NULL, use_many, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(id[i], NULL);
    lk_heap_collect(heap);
    lk_heap_stat(heap, &s);
    T_LOG("%llu loads, %llu failed, %llu evicted", (unsigned long long)s.loads,
          (unsigned long long)s.failed, (unsigned long long)s.evicted);
    T_REQUIRE(s.evicted > 100 && s.failed > 10 && s.objects <= 5 && s.retired == 0);
    T_REQUIRE_EQ(s.loads - s.failed, s.freed + s.objects);
    finish(things, THINGS);
}

static void child(void *arg)
{
    T_REQUIRE_EQ((intptr_t)use_once(arg), 0);
    T_REQUIRE_EQ(lk_object_state(heap, &((struct thing *)arg)->object), LK_OBJECT_LOADED);
}

/* What another thread was loading when the process forked is a ghost in the child, and can be
 * loaded there. */
T_TEST(a_child_of_fork_loads_what_others_were_loading)
{
    struct thing t[1];
    pthread_t id;
    begin(t, 1, NULL);
    hold = 1;
    T_REQUIRE(pthread_create(&id, NULL, use_once, t) == 0);
    while (atomic_load(&inside) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        atomic_store(&hold, 0);
        child(t);
        _exit(0);
    }
    T_REQUIRE_EQ(t_wait(pid), 0);
    hold = 0;
    pthread_join(id, NULL);
    finish(t, 1);
}
