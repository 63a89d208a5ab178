/* storm_sleeps.c - see storm_sleeps.h. */
#include "storm_sleeps.h"

#include <errno.h>
#include <stdio.h>

#include "cli.h"
#include "latchkey/robust.h"

/* No backstop timer is shorter, and no thread that is owed a wake is this late without one. */
enum { SHORTEST_NS = 9000000, LATE_NS = 1000000 };

static const char *const lock_names[STORM_LOCKS] = {"rwlock", "mutex", "seqlock"};

static uint64_t backstops_of(const void *memory)
{
    struct lk_robust_counts counts;
    return lk_robust_count(memory, &counts) == 0 ? counts.backstops : 0;
}

/* One more sleep is counted than when this thread began.  Each is for the first that sees it: most
 * often who counted it. */
static bool claim(struct storm_sleeps *s, uint64_t backstops, uint64_t before)
{
    uint64_t claimed = atomic_load(&s->claimed);
    return backstops > before && claimed < backstops &&
           atomic_compare_exchange_strong(&s->claimed, &claimed, claimed + 1);
}

struct storm_ask storm_ask(struct storm_sleeps *s, const void *memory, enum storm_lock lock,
                           bool writes)
{
    return (struct storm_ask){lock, writes, cli_now_ns(), backstops_of(memory),
                              atomic_load(&s->life[lock].grants)};
}

bool storm_was_long(const struct storm_ask *ask)
{
    return cli_now_ns() - ask->begun_ns >= SHORTEST_NS;
}

void storm_answered(struct storm_sleeps *s, const void *memory, const struct storm_ask *ask, int rc,
                    bool freeing)
{
    struct storm_life *life = &s->life[ask->lock];
    uint64_t grants = atomic_fetch_add(&life->grants, 1), now_ns = cli_now_ns();
    if (!storm_was_long(ask) || !claim(s, backstops_of(memory), ask->backstops))
        return;
    uint64_t i = atomic_fetch_add(&s->n, 1);
    if (i >= STORM_SLEEPS)
        return;
    struct storm_sleep *sleep = &s->sleep[i];
    sleep->lock = (int)ask->lock;
    sleep->writes = ask->writes;
    sleep->rc = rc;
    sleep->waited_ns = now_ns - ask->begun_ns;
    sleep->free_ns = now_ns - atomic_load(&life->freed_ns);
    sleep->grants = grants - ask->grants;
    sleep->freeing = freeing;
    sleep->waiter_died = atomic_load(&life->waiter_died_ns) > ask->begun_ns;
    atomic_store(&sleep->ready, 1);
}

void storm_freed(struct storm_sleeps *s, enum storm_lock lock)
{
    atomic_store(&s->life[lock].freed_ns, cli_now_ns());
}

void storm_kills(struct storm_sleeps *s, enum storm_lock held, enum storm_lock asked)
{
    if (held < STORM_LOCKS)
        storm_freed(s, held);
    if (asked < STORM_LOCKS)
        atomic_store(&s->life[asked].waiter_died_ns, cli_now_ns());
}

/* Why nobody but the timer woke it. */
static const char *cause(const struct storm_sleep *sleep)
{
    if (sleep->free_ns < LATE_NS)
        return "none was due: the lock had just become free";
    if (sleep->freeing)
        return "on its way: the unlocker stood still before the wake";
    if (sleep->waiter_died)
        return "one that waited was killed: perhaps the one that the kernel woke";
    return "late or missing: perhaps one that was woken had not run yet";
}

json_t *storm_sleeps_json(const struct storm_sleeps *s)
{
    json_t *all = json_array();
    for (int i = 0; i < STORM_SLEEPS; i++) {
        const struct storm_sleep *sleep = &s->sleep[i];
        if (!atomic_load(&sleep->ready))
            continue;
        (void)json_array_append_new(
            all, json_pack("{s:s, s:b, s:b, s:I, s:I, s:I, s:s}", "lock", lock_names[sleep->lock],
                           "writes", sleep->writes, "told", sleep->rc == EOWNERDEAD, "waited_ns",
                           (json_int_t)sleep->waited_ns, "free_ns", (json_int_t)sleep->free_ns,
                           "grants", (json_int_t)sleep->grants, "cause", cause(sleep)));
    }
    return all;
}

void storm_sleeps_print(const struct storm_sleeps *s)
{
    char waited[32], idle[32];
    for (int i = 0; i < STORM_SLEEPS; i++) {
        const struct storm_sleep *sleep = &s->sleep[i];
        if (!atomic_load(&sleep->ready))
            continue;
        (void)printf("  %-8s %-6s%s waited %s, free for %s, %llu grants meanwhile: %s\n",
                     lock_names[sleep->lock], sleep->writes ? "write" : "read",
                     sleep->rc == EOWNERDEAD ? " (told of a death)" : "",
                     cli_span(waited, sleep->waited_ns), cli_span(idle, sleep->free_ns),
                     (unsigned long long)sleep->grants, cause(sleep));
    }
}
