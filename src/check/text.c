/* text.c - a failing execution in words: thread by thread, then the order of the stores. */
#include <inttypes.h>
#include <string.h>

#include "report.h"

static const char *const orders[] = {"relaxed", "consume", "acquire", "release",
                                     "acq_rel", "seq_cst", "plain"};

static const char *order_name(const struct event *e)
{
    return e->order < sizeof orders / sizeof orders[0] ? orders[e->order] : "?";
}

static const char *op_name(const struct event *e)
{
    switch ((enum ev_op)e->op) {
    case OP_NONE:
        return "load";
    case OP_XCHG:
        return "exchange";
    case OP_ADD:
        return "fetch_add";
    case OP_SUB:
        return "fetch_sub";
    case OP_AND:
        return "fetch_and";
    case OP_OR:
        return "fetch_or";
    case OP_XOR:
        return "fetch_xor";
    case OP_NAND:
        return "fetch_nand";
    case OP_CAS:
        return e->flags & EF_RMW ? "compare_exchange" : "compare_exchange fails,";
    case OP_WAIT_MASKED:
    case OP_WAIT_NOT:
        return e->flags & EF_STUCK ? "waits," : "wait ends,";
    case OP_LOCK:
        return e->flags & EF_STUCK ? "waits for the lock," : "lock";
    case OP_TRYLOCK:
        return e->flags & EF_RMW ? "trylock" : "trylock fails,";
    case OP_SEM:
        return e->flags & EF_STUCK ? "waits for the semaphore," : "semaphore down";
    case OP_TRYSEM:
        return "semaphore trywait";
    case OP_COMPARE:
        return "the kernel compares";
    case OP_ENTER:
        return "goes to sleep on";
    case OP_LEAVE:
        return "no longer sleeps on";
    case OP_WAKE:
        return "wakes the sleepers of";
    case OP_ROBUST:
        return "the kernel marks";
    case OP_BARRIER:
        return "barrier arrive,";
    }
    return "?";
}

static const char *event_label(evid e, char text[32])
{
    if (e == EV_INIT)
        return "the initial value";
    (void)snprintf(text, 32, "T%u.%u", ev_tid(e), ev_pos(e));
    return text;
}

const char *report_value(uint64_t v, char text[32])
{
    if ((int64_t)v > -1000000 && (int64_t)v < 10000000)
        (void)snprintf(text, 32, "%" PRId64, (int64_t)v);
    else if (v <= UINT32_MAX && (int32_t)v < 0 && (int32_t)v > -1000)
        (void)snprintf(text, 32, "%d", (int32_t)v);
    else
        (void)snprintf(text, 32, "%#" PRIx64, v);
    return text;
}

static void location_text(uint32_t loc, char *text, size_t size)
{
    (void)report_address(lkc->locs[loc].addr, text, size);
}

void report_event(const struct graph *g, evid id, char *text, size_t size)
{
    const struct event *e = graph_ev(g, id);
    char where[96] = "", v[32], v2[32], from[32];
    if (e->kind == EK_READ || e->kind == EK_WRITE)
        location_text(e->loc, where, sizeof where);
    switch ((enum ev_kind)e->kind) {
    case EK_BEGIN:
        (void)snprintf(text, size, "begins");
        break;
    case EK_END:
        (void)snprintf(text, size, "ends");
        break;
    case EK_CREATE:
        (void)snprintf(text, size, "starts T%u", (unsigned)e->value);
        break;
    case EK_JOIN:
        (void)snprintf(text, size, "joins T%u", ev_tid(e->rf));
        break;
    case EK_FENCE:
        (void)snprintf(text, size, "fence %s", order_name(e));
        break;
    case EK_CHOICE:
        if (e->flags & EF_CRASH)
            (void)snprintf(text, size, e->value != 0 ? "is killed" : "is not killed here");
        else
            (void)snprintf(text, size, "choice %u of %u", (unsigned)e->value, (unsigned)e->operand);
        break;
    case EK_WRITE:
        if (e->flags & EF_CRASH)
            (void)snprintf(text, size, "DIES");
        else
            (void)snprintf(text, size, "store %s = %s %s", where, report_value(e->value, v),
                           order_name(e));
        break;
    case EK_READ:
        if (e->flags & EF_RMW)
            (void)snprintf(text, size, "%s %s: %s -> %s %s, from %s", op_name(e), where,
                           report_value(e->value, v), report_value(e[1].value, v2), order_name(e),
                           event_label(e->rf, from));
        else
            (void)snprintf(text, size, "%s %s = %s %s, from %s", op_name(e), where,
                           report_value(e->value, v), order_name(e), event_label(e->rf, from));
        break;
    }
}

static bool is_second_half(const struct event *e)
{
    return e->kind == EK_WRITE && e->flags & EF_RMW;
}

static const char *standstill(const struct gthread *t)
{
    switch ((enum stuck)t->stuck) {
    case STUCK_AWAIT:
        return "sleeps here for ever, or until another thread acts";
    case STUCK_SPIN:
        return "spins: the lap since the event marked * repeats itself";
    case STUCK_JOIN:
        return "waits for a thread to end";
    default:
        return NULL;
    }
}

static void thread_text(FILE *out, const struct graph *g, uint32_t tid)
{
    const struct gthread *t = &g->t[tid];
    fprintf(out, "\n  T%u%s\n", tid, tid == 0 ? " (main)" : "");
    for (uint32_t i = 0; i < t->len; i++) {
        char text[256], label[32];
        if (is_second_half(&t->ev[i]))
            continue;
        report_event(g, ev_id(tid, i), text, sizeof text);
        bool lap = t->stuck == STUCK_SPIN && i == t->stuck_at;
        fprintf(out, "   %c%-7s %-56s %s\n", lap ? '*' : ' ', event_label(ev_id(tid, i), label),
                text, report_place(t->ev[i].pc));
    }
    const char *why = standstill(t);
    if (why != NULL && !graph_ended(g, tid))
        fprintf(out, "            %s\n", why);
}

static void order_text(FILE *out, const struct graph *g)
{
    fprintf(out, "\n  order of the stores\n");
    for (uint32_t i = 0; i < g->nactive; i++) {
        const struct gloc *l = &g->loc[g->active[i]];
        char where[96], v[32], label[32];
        if (l->nco == 0)
            continue;
        location_text(g->active[i], where, sizeof where);
        fprintf(out, "    %s: %s", where, report_value(l->init, v));
        for (uint32_t k = 0; k < l->nco; k++)
            fprintf(out, ", %s (%s)", report_value(graph_ev(g, l->co[k])->value, v),
                    event_label(l->co[k], label));
        fputc('\n', out);
    }
}

void report_learn_graph(const struct failure *f)
{
    const struct graph *g = &lkc->g;
    uint64_t pc[400];
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->ncalls; i++)
        pc[n++] = f->calls[i];
    for (uint32_t t = 0; t < g->nthreads; t++)
        for (uint32_t i = 0; i < g->t[t].len; i++)
            if (g->t[t].ev[i].pc != 0 && n < 400)
                pc[n++] = g->t[t].ev[i].pc;
    report_learn(pc, n);
}

/* Put the failing graph into g; f keeps its own. */
void report_graph(const struct failure *f, struct graph *g)
{
    struct snapshot *copy = snapshot_clone(f->graph);
    evid subject;
    (void)snapshot_unpack(copy, g, &subject);
}

void report_counterexample(FILE *out, const struct failure *f)
{
    struct graph *g = &lkc->g;
    report_graph(f, g);
    report_learn_graph(f);
    fprintf(out, "\n%s: %s\n", lk_check_error_name(f->kind), f->text);
    if (f->pc != 0)
        fprintf(out, "  thread T%u at %s\n", f->tid, report_place(f->pc));
    if (f->other_pc != 0)
        fprintf(out, "  the other one at %s\n", report_place(f->other_pc));
    for (uint32_t i = 0; i < f->ncalls; i++)
        if (report_place(f->calls[i])[0] != 0)
            fprintf(out, "  called from %s\n", report_place(f->calls[i]));
    fprintf(out, "  %" PRIu64 " executions show it; this one, run %" PRIu64 ", has %u events\n",
            f->times, f->execution, f->events);
    if (!f->tso && f->kind != LK_CHECK_RACE)
        fprintf(out,
                "  only on weakly ordered processors such as ARM and POWER: none of them is an "
                "execution of x86 (TSO)\n");
    else if (!f->sc && f->kind != LK_CHECK_RACE)
        fprintf(out, "  not under sequential consistency, but x86 (TSO) has it\n");
    for (uint32_t t = 0; t < g->nthreads; t++)
        if (g->t[t].live)
            thread_text(out, g, t);
    order_text(out, g);
}
