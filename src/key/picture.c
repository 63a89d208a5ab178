/* picture.c - what the order graph has learned, as text, JSON and DOT; what the keys hold. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "key/key.h"
#include "key/order.h"

struct out {
    int fd, rc;
    size_t n;
    char text[4096];
};

static void flush(struct out *o)
{
    for (size_t at = 0; at < o->n && o->rc == 0;) {
        ssize_t n = write(o->fd, o->text + at, o->n - at);
        if (n > 0)
            at += (size_t)n;
        else if (n < 0 && errno != EINTR)
            o->rc = errno;
    }
    o->n = 0;
}

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    if (o->n + size > sizeof o->text)
        flush(o);
    memcpy(o->text + o->n, line, size);
    o->n += size;
}

/* A string of JSON or DOT: names and places are C literals, so only these two matter. */
static const char *quoted(const char *text, char *room, size_t size)
{
    size_t n = 0;
    for (; *text != 0 && n + 3 < size; text++) {
        if (*text == '"' || *text == '\\')
            room[n++] = '\\';
        room[n++] = (unsigned char)*text < ' ' ? ' ' : *text;
    }
    room[n] = 0;
    return room;
}

/* ---- text
 * ------------------------------------------------------------------------------------- */

static void cure(struct out *o, const struct lk_order_ring *ring)
{
    put(o, "  cure: lock them at once, lk_scope (key, LK_SET(");
    for (size_t i = 0; i < ring->n; i++)
        put(o, "%sLK_LOCK(%s)", i == 0 ? "" : ", ", ring->edge[i].holds);
    put(o, "));\n        or give them levels and lock in one order: ");
    for (size_t i = 0; i < ring->n; i++)
        put(o, "%s%s", i == 0 ? "" : " < ", ring->edge[i].holds);
    put(o, "\n");
}

static void write_text(struct out *o)
{
    uint64_t now = lki_order_now();
    unsigned number = 0;
    for (const struct lki_ring *r = lki_order_found(); r != NULL; r = r->next) {
        put(o, "ring %u, of %zu:\n", ++number, r->ring.n);
        for (size_t i = 0; i < r->ring.n; i++) {
            const struct lk_order_edge *e = &r->ring.edge[i];
            put(o, "  thread %u holds %s, locked at %s,\n", e->thread, e->holds, e->holds_at);
            put(o, "    and wants %s at %s (first seen %.3f s ago)\n", e->wants, e->wants_at,
                (double)(now - e->age_ns) / 1e9);
        }
        put(o, "  chain:");
        for (size_t i = 0; i < r->ring.n; i++)
            put(o, " %s ->", r->ring.edge[i].holds);
        put(o, " %s\n", r->ring.edge[0].holds);
        cure(o, &r->ring);
    }
    put(o, "%u rings\n", number);
}

/* ---- JSON and DOT
 * ----------------------------------------------------------------------------- */

/* Once for each node that waits: from the class of the lock below it to its own. */
struct edges {
    struct out *out;
    bool dot, any;
};

static void write_edge(const struct lki_node *n, void *arg)
{
    struct edges *e = arg;
    char at[300], held_at[300];
    if (!n->wanted || n->parent->lock == 0)
        return;
    const struct lki_class *from = lki_order_watched(n->parent->lock)->class_;
    const struct lki_class *to = lki_order_watched(n->lock)->class_;
    if (e->dot) {
        put(e->out, "  c%u -> c%u [label=\"%s\"];\n", from->number, to->number,
            quoted(n->here, at, sizeof at));
        return;
    }
    put(e->out, "%s\n  {\"from\": %u, \"to\": %u, \"thread\": %u, \"holds_at\": \"%s\", ",
        e->any ? "," : "", from->number, to->number, n->segment->thread,
        quoted(n->parent->here, held_at, sizeof held_at));
    put(e->out, "\"wants_at\": \"%s\"}", quoted(n->here, at, sizeof at));
    e->any = true;
}

static void write_dot(struct out *o)
{
    char name[300], here[300];
    struct edges e = {o, true, false};
    put(o, "digraph order {\n  node [shape=box];\n");
    for (const struct lki_class *c = lki_order_classes(); c != NULL; c = c->next)
        put(o, "  c%u [label=\"%s\\n%s\"];\n", c->number, quoted(c->name, name, sizeof name),
            quoted(c->here, here, sizeof here));
    lki_order_each_node(write_edge, &e);
    put(o, "}\n");
}

static void write_ring_json(struct out *o, const struct lk_order_ring *ring)
{
    char a[300], b[300], c[300], d[300];
    put(o, "[");
    for (size_t i = 0; i < ring->n; i++) {
        const struct lk_order_edge *e = &ring->edge[i];
        put(o, "%s{\"thread\": %u, \"holds\": \"%s\", \"holds_at\": \"%s\", ", i == 0 ? "" : ", ",
            e->thread, quoted(e->holds, a, sizeof a), quoted(e->holds_at, b, sizeof b));
        put(o, "\"wants\": \"%s\", \"wants_at\": \"%s\"}", quoted(e->wants, c, sizeof c),
            quoted(e->wants_at, d, sizeof d));
    }
    put(o, "]");
}

static void write_json(struct out *o)
{
    char name[300], here[300];
    struct edges e = {o, false, false};
    put(o, "{\"classes\": [");
    for (const struct lki_class *c = lki_order_classes(); c != NULL; c = c->next)
        put(o, "\n  {\"number\": %u, \"name\": \"%s\", \"here\": \"%s\"}%s", c->number,
            quoted(c->name, name, sizeof name), quoted(c->here, here, sizeof here),
            c->next != NULL ? "," : "");
    put(o, "],\n \"edges\": [");
    lki_order_each_node(write_edge, &e);
    put(o, "],\n \"rings\": [");
    for (const struct lki_ring *r = lki_order_found(); r != NULL; r = r->next) {
        put(o, "\n  ");
        write_ring_json(o, &r->ring);
        put(o, "%s", r->next != NULL ? "," : "");
    }
    put(o, "]}\n");
}

int lk_order_write(int fd, const char *format)
{
    struct out o = {.fd = fd};
    void (*write_it)(struct out * o) = strcmp(format, "text") == 0   ? write_text
                                       : strcmp(format, "json") == 0 ? write_json
                                       : strcmp(format, "dot") == 0  ? write_dot
                                                                     : NULL;
    if (write_it == NULL)
        return EINVAL;
    lki_order_hold();
    write_it(&o);
    lki_order_let_go();
    flush(&o);
    return o.rc;
}

/* ---- what the keys hold
 * ------------------------------------------------------------------------ */

static void dump_one(struct lk_key_ *k, void *arg)
{
    struct out *o = arg;
    /* [picture.1] acquire, pairs with [member.2]: its place, or that of a later wait. */
    void *waits_for = lk_word_load_acq_ptr(&k->waits_for_);
    /* [picture.3] acquire, pairs with [member.1]: of a later wait, and then this one is over. */
    const char *at = lk_word_load_acq_ptr(&k->waits_at_);
    put(o, "thread %llu: ", (unsigned long long)k->thread_);
    if (k->taken_at_ == NULL)
        put(o, "key not taken");
    else if (k->depth_ == 0)
        put(o, "key free, taken at %s", k->taken_at_);
    for (uint32_t d = 0; d < k->depth_ && d < LK_KEY_DEPTH; d++)
        put(o, "%sholds %u since %s", d == 0 ? "" : ", ", k->hold_[d].n_, k->hold_[d].here_);
    /* [picture.4] relaxed: behind [picture.3]. */
    if (waits_for != NULL &&
        lk_load_rlx_u64((uint64_t *)(void *)&k->waits_for_) == (uintptr_t)waits_for)
        put(o, ", waits for %p at %s", waits_for, at);
    put(o, "\n");
}

int lk_key_dump(int fd)
{
    struct out o = {.fd = fd};
    lki_key_each(dump_one, &o);
    flush(&o);
    return o.rc;
}

static void on_signal(int signo)
{
    struct out o = {.fd = 2};
    int kept = errno;
    (void)signo;
    if (lki_key_try_each(dump_one, &o))
        flush(&o);
    errno = kept;
}

/* For lk order locks.  Once for a process; a child of fork has its parent's, and the same list. */
static int leave_root(void)
{
    static uint32_t left;
    uint32_t none = 0;
    const struct lk_key_root_ root = {sizeof(struct lk_key_), (uint64_t)(uintptr_t)lki_key_list()};
    /* [picture.2] relaxed: whoever turns it makes the file; nothing else hangs on it. */
    if (!lk_cas_rlx_u32(&left, &none, 1))
        return 0;
    int fd = memfd_create(LK_KEY_ROOT_NAME_, MFD_CLOEXEC);
    if (fd < 0)
        return errno;
    if (write(fd, &root, sizeof root) == (ssize_t)sizeof root)
        return 0;
    int rc = errno;
    (void)close(fd);
    return rc;
}

int lk_key_dump_on(int signo)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (sigaction(signo, &action, NULL) != 0)
        return errno;
    return leave_root();
}
