/* The order graph: rings that can happen are reported once, with both places; what cannot deadlock
 * is not; no table has a limit.  Threads run one after the other, so nothing ever blocks; the graph
 * is not told, unless the test is about that.
 * Kills: key.gate_ignored, key.one_thread_is_a_ring. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "latchkey/order.h"
#include "latchkey/set.h"
#include "test.h"

enum { FEW = 6, DEEP = 10000, CLASSES = 100000 };

static lk_order_mutex m[FEW], gate;
static char heard[2000];
static size_t heard_edges;

static void hear(const struct lk_order_ring *ring, void *arg)
{
    (void)arg;
    heard_edges = ring->n;
    for (size_t i = 0; i < ring->n; i++)
        (void)snprintf(heard + strlen(heard), sizeof heard - strlen(heard), "%s@%s>%s@%s ",
                       ring->edge[i].holds, ring->edge[i].holds_at, ring->edge[i].wants,
                       ring->edge[i].wants_at);
}

static void begin(void)
{
    static const char *name[FEW] = {"a", "b", "c", "d", "e", "f"};
    lk_order_on_ring(hear, NULL);
    lk_order_on(true);
    for (int i = 0; i < FEW; i++)
        lk_order_mutex_init(&m[i], name[i]);
    lk_order_mutex_init(&gate, "gate");
}

/* What one thread does: lock these in order, then unlock them. */
static void nest(const char *names)
{
    for (const char *n = names; *n != 0; n++)
        lk_order_lock(*n == 'g' ? &gate : &m[*n - 'a']);
    for (size_t i = strlen(names); i-- > 0;)
        lk_order_unlock(names[i] == 'g' ? &gate : &m[names[i] - 'a']);
}

static void *nest_in_thread(void *names)
{
    nest(names);
    return NULL;
}

static void in_thread(void *(*fn)(void *), const char *names)
{
    pthread_t id;
    T_REQUIRE_EQ(pthread_create(&id, NULL, fn, (void *)(uintptr_t)names), 0);
    T_REQUIRE_EQ(pthread_join(id, NULL), 0);
}

T_TEST(two_orders_in_two_threads_are_a_ring)
{
    begin();
    in_thread(nest_in_thread, "ab");
    T_REQUIRE_EQ(lk_order_rings(), 0);
    in_thread(nest_in_thread, "ba");
    T_REQUIRE_EQ(lk_order_rings(), 1);
    T_REQUIRE_EQ(heard_edges, 2);
    T_REQUIRE(strstr(heard, "a#1@") != NULL && strstr(heard, "b#2@") != NULL);
    T_REQUIRE(strstr(heard, "key_order_test.c:") != NULL);
    in_thread(nest_in_thread, "ba"); /* not again */
    T_REQUIRE_EQ(lk_order_rings(), 1);
}

T_TEST(longer_rings_and_those_inside_deeper_stacks)
{
    begin();
    in_thread(nest_in_thread, "ab");
    in_thread(nest_in_thread, "bc");
    in_thread(nest_in_thread, "cd");
    T_REQUIRE_EQ(lk_order_rings(), 0);
    in_thread(nest_in_thread, "eda"); /* e does not matter */
    T_REQUIRE_EQ(lk_order_rings(), 1);
    T_REQUIRE_EQ(heard_edges, 4);
}

static void leave_with(const struct lk_order_ring *ring, void *arg)
{
    (void)arg;
    _exit(ring->n == 1 ? 7 : 8);
}

static void lock_twice(void *arg)
{
    (void)arg;
    lk_order_on_ring(leave_with, NULL);
    nest("aca");
}

T_TEST(locking_twice_is_a_ring_of_one)
{
    begin();
    T_REQUIRE_EQ(t_wait(t_fork(lock_twice, NULL)), 7);
}

T_TEST(a_common_gate_makes_it_harmless)
{
    begin();
    in_thread(nest_in_thread, "gab");
    in_thread(nest_in_thread, "gba");
    T_REQUIRE_EQ(lk_order_rings(), 0);
    in_thread(nest_in_thread, "ba"); /* one without the gate */
    T_REQUIRE_EQ(lk_order_rings(), 1);
}

static void *both_orders(void *names)
{
    nest("ab");
    nest("ba");
    return names;
}

T_TEST(one_thread_in_two_orders_is_harmless)
{
    begin();
    in_thread(both_orders, NULL);
    T_REQUIRE_EQ(lk_order_rings(), 0);
    in_thread(both_orders, NULL); /* two of them are not */
    T_REQUIRE_EQ(lk_order_rings(), 1);
}

static void *hand_over_hand(void *arg)
{
    lk_order_lock(&m[0]);
    for (int i = 1; i < FEW; i++) {
        lk_order_lock(&m[i]);
        lk_order_unlock(&m[i - 1]);
    }
    lk_order_unlock(&m[FEW - 1]);
    return arg;
}

T_TEST(hand_over_hand_is_harmless)
{
    begin();
    in_thread(hand_over_hand, NULL);
    in_thread(hand_over_hand, NULL);
    T_REQUIRE_EQ(lk_order_rings(), 0);
    in_thread(nest_in_thread, "cb"); /* one that goes the other way is not */
    T_REQUIRE_EQ(lk_order_rings(), 1);
}

static void *try_second(void *arg)
{
    lk_order_lock(&m[1]);
    T_REQUIRE_EQ(lk_order_trylock(&m[0]), 0);
    lk_order_unlock(&m[0]);
    lk_order_unlock(&m[1]);
    return arg;
}

T_TEST(trying_in_another_order_is_harmless)
{
    begin();
    in_thread(nest_in_thread, "ab");
    in_thread(try_second, NULL);
    T_REQUIRE_EQ(lk_order_rings(), 0);
}

static void *start_and_join(void *arg)
{
    pthread_t id;
    nest("ab");
    T_REQUIRE_EQ(lk_order_create(&id, nest_in_thread, (void *)(uintptr_t) "ba"), 0);
    T_REQUIRE_EQ(lk_order_join(id, NULL), 0);
    nest("ab");
    return arg;
}

T_TEST(threads_that_cannot_run_at_the_same_time_are_harmless)
{
    begin();
    in_thread(start_and_join, NULL);
    T_REQUIRE_EQ(lk_order_rings(), 0);
    in_thread(nest_in_thread, "ba"); /* nobody says when this one runs */
    T_REQUIRE_EQ(lk_order_rings(), 1);
}

static lk_order_mutex deep[DEEP];

static void *hold_all(void *arg)
{
    for (int i = 0; i < DEEP; i++)
        lk_order_lock(&deep[i]);
    for (int i = DEEP; i-- > 0;)
        lk_order_unlock(&deep[i]);
    return arg;
}

static void *reverse_two(void *arg)
{
    lk_order_lock(&deep[DEEP - 1]);
    lk_order_lock(&deep[17]);
    lk_order_unlock(&deep[17]);
    lk_order_unlock(&deep[DEEP - 1]);
    return arg;
}

T_TEST(ten_thousand_held_are_harmless_and_a_planted_ring_is_found)
{
    begin();
    in_thread(hold_all, NULL);
    in_thread(hold_all, NULL);
    T_REQUIRE_EQ(lk_order_rings(), 0);
    in_thread(reverse_two, NULL);
    T_REQUIRE_EQ(lk_order_rings(), 1);
}

static lk_order_mutex many[CLASSES];

static void *pair_up(void *reversed)
{
    for (int i = 0; i + 1 < CLASSES; i += 2) {
        bool turn = reversed != NULL && i == CLASSES - 2;
        lk_order_lock(&many[i + turn]);
        lk_order_lock(&many[i + !turn]);
        lk_order_unlock(&many[i + !turn]);
        lk_order_unlock(&many[i + turn]);
    }
    return NULL;
}

T_TEST(a_hundred_thousand_classes_and_a_planted_ring_is_found)
{
    struct lk_order_counts counts;
    char name[20];
    begin();
    for (int i = 0; i < CLASSES; i++) {
        (void)snprintf(name, sizeof name, "class-%d", i);
        lk_order_mutex_init(&many[i], name);
    }
    in_thread(pair_up, NULL);
    in_thread(pair_up, "reversed");
    lk_order_count(&counts);
    T_REQUIRE(counts.classes > CLASSES && counts.locks > CLASSES);
    T_REQUIRE_EQ(counts.rings, 1);
    T_REQUIRE_EQ(counts.given_up, 0);
}

static void written(const char *format, char *text, size_t size)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/graph", t_tmpdir());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    T_REQUIRE(fd >= 0);
    if (strcmp(format, "keys") == 0)
        T_REQUIRE_RC(lk_key_dump(fd), 0);
    else
        T_REQUIRE_RC(lk_order_write(fd, format), 0);
    ssize_t n = pread(fd, text, size - 1, 0);
    T_REQUIRE(n > 0);
    text[n] = 0;
    (void)close(fd);
}

T_TEST(the_report_names_places_ages_chain_and_cure)
{
    static char text[20000];
    begin();
    in_thread(nest_in_thread, "ab");
    in_thread(nest_in_thread, "ba");
    written("text", text, sizeof text);
    T_REQUIRE(strstr(text, "chain: ") != NULL && strstr(text, "cure: lock them at once") != NULL);
    T_REQUIRE(strstr(text, "s ago") != NULL && strstr(text, "1 rings") != NULL);
    written("dot", text, sizeof text);
    T_REQUIRE(strstr(text, "digraph order {") == text && strstr(text, "c1 -> c2") != NULL);
    written("json", text, sizeof text);
    T_REQUIRE(strstr(text, "\"name\": \"gate\"") != NULL);
    T_REQUIRE(strstr(text, "\"from\": 1, \"to\": 2") != NULL);
    T_REQUIRE_RC(lk_order_write(1, "xml"), EINVAL);
}

T_TEST(a_dump_says_what_each_key_holds_and_since_where)
{
    static char text[20000];
    static lk_mutex plain;
    lk_key key = lk_key_take();
    T_REQUIRE_RC(lk_key_dump_on(SIGUSR1), 0);
    lk_scope (key, LK_SET(LK_LOCK(&plain))) {
        written("keys", text, sizeof text);
        T_REQUIRE(strstr(text, "holds 1 since") != NULL &&
                  strstr(text, "key_order_test.c") != NULL);
        T_REQUIRE_EQ(raise(SIGUSR1), 0);
    }
    written("keys", text, sizeof text);
    T_REQUIRE(strstr(text, "key free") != NULL);
    lk_key_give(key);
}
