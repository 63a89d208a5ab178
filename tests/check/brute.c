/* brute.c - see brute.h.  Shares nothing with src/check but the reading of the model. */
#include <string.h>

#include "brute.h"

enum { MAX = 32 };
typedef uint32_t row; /* bit j of r[i]: (i, j) is in the relation */
typedef struct {
    row r[MAX];
} rel;

enum type { T_READ, T_WRITE, T_FENCE };
struct node {
    enum type type;
    int thread, loc, order; /* thread -1 = initial writes */
    const struct litmus_step *step;
    bool rmw; /* one half of a read-modify-write */
    long value;
};

struct search {
    const struct litmus *p;
    struct node ev[MAX];
    int n, succeed; /* bit k of succeed: the k-th CAS does */
    int cas;
    int reads[MAX], nreads;
    int rf[MAX]; /* of a read: the write */
    int co[LITMUS_LOCATIONS][MAX], nco[LITMUS_LOCATIONS];
    struct brute_counts *out;
};

/* ---- relations
 * --------------------------------------------------------------------------------- */

static rel none(void)
{
    rel x;
    memset(&x, 0, sizeof x);
    return x;
}

static void put(rel *x, int a, int b)
{
    x->r[a] |= (row)1 << b;
}
static bool has(const rel *x, int a, int b)
{
    return x->r[a] >> b & 1;
}

static rel join(rel a, rel b)
{
    for (int i = 0; i < MAX; i++)
        a.r[i] |= b.r[i];
    return a;
}

static rel compose(const rel *a, const rel *b)
{
    rel x = none();
    for (int i = 0; i < MAX; i++)
        for (int j = 0; j < MAX; j++)
            if (has(a, i, j))
                x.r[i] |= b->r[j];
    return x;
}

static rel plus(rel x)
{
    for (int k = 0; k < MAX; k++)
        for (int i = 0; i < MAX; i++)
            if (has(&x, i, k))
                x.r[i] |= x.r[k];
    return x;
}

static rel optional(rel x)
{
    for (int i = 0; i < MAX; i++)
        put(&x, i, i);
    return x;
}

static rel inverse(const rel *x)
{
    rel y = none();
    for (int i = 0; i < MAX; i++)
        for (int j = 0; j < MAX; j++)
            if (has(x, i, j))
                put(&y, j, i);
    return y;
}

static bool reflexive_somewhere(const rel *x)
{
    for (int i = 0; i < MAX; i++)
        if (has(x, i, i))
            return true;
    return false;
}

static bool acyclic(rel x)
{
    x = plus(x);
    return !reflexive_somewhere(&x);
}

/* [from]; x; [to] */
static rel between(rel x, row from, row to)
{
    for (int i = 0; i < MAX; i++)
        x.r[i] = from >> i & 1 ? x.r[i] & to : 0;
    return x;
}

/* ---- the axioms
 * -------------------------------------------------------------------------------- */

struct relations {
    rel po, rf, co, rb, rmw, hb, eco;
    row sc, fence, write, read, rel_, acq, memory;
};

static bool order_releases(int o)
{
    return o == __ATOMIC_RELEASE || o == __ATOMIC_ACQ_REL || o == __ATOMIC_SEQ_CST;
}

static bool order_acquires(int o)
{
    return o == __ATOMIC_ACQUIRE || o == __ATOMIC_ACQ_REL || o == __ATOMIC_SEQ_CST;
}

static void sets(const struct search *s, struct relations *x)
{
    for (int i = 0; i < s->n; i++) {
        const struct node *e = &s->ev[i];
        row bit = (row)1 << i;
        if (e->type == T_READ)
            x->read |= bit;
        if (e->type == T_WRITE)
            x->write |= bit;
        if (e->type == T_FENCE)
            x->fence |= bit;
        if (e->thread < 0)
            continue;
        if (e->order == __ATOMIC_SEQ_CST)
            x->sc |= bit;
        if (order_releases(e->order) && e->type != T_READ)
            x->rel_ |= bit;
        if (order_acquires(e->order) && e->type != T_WRITE)
            x->acq |= bit;
    }
    x->memory = x->read | x->write;
}

static void base_relations(const struct search *s, struct relations *x)
{
    memset(x, 0, sizeof *x);
    sets(s, x);
    for (int i = 0; i < s->n; i++)
        for (int j = 0; j < s->n; j++) {
            const struct node *a = &s->ev[i], *b = &s->ev[j];
            if (b->thread >= 0 && (a->thread < 0 || (a->thread == b->thread && i < j)))
                put(&x->po, i, j);
        }
    for (int i = 0; i < s->nreads; i++) {
        int r = s->reads[i];
        put(&x->rf, s->rf[r], r);
        if (s->ev[r].rmw)
            put(&x->rmw, r, r + 1);
    }
    for (int l = 0; l < LITMUS_LOCATIONS; l++)
        for (int i = 0; i < s->nco[l]; i++)
            for (int j = i + 1; j < s->nco[l]; j++)
                put(&x->co, s->co[l][i], s->co[l][j]);
    rel rf_inverse = inverse(&x->rf);
    x->rb = compose(&rf_inverse, &x->co);
    for (int i = 0; i < MAX; i++)
        x->rb.r[i] &= ~((row)1 << i);
    x->eco = plus(join(join(x->rf, x->co), x->rb));
}

/* sw = [rel]; ([F]; po)?; rs; rf; [R]; (po; [F])?; [acq], rs = [W]; (rf; rmw)* */
static void happens_before(struct relations *x)
{
    row all = UINT32_MAX;
    rel to_rmw = compose(&x->rf, &x->rmw);
    rel rs = between(optional(plus(to_rmw)), x->write, all);
    rel front = between(optional(between(x->po, x->fence, x->write)), x->rel_, x->write);
    rel back = between(optional(between(x->po, x->read, x->fence)), x->read, x->acq);
    rel sw = compose(&front, &rs);
    sw = compose(&sw, &x->rf);
    sw = compose(&sw, &back);
    x->hb = plus(join(x->po, sw));
}

static rel same_location(const struct search *s, rel x)
{
    for (int i = 0; i < s->n; i++)
        for (int j = 0; j < s->n; j++)
            if (s->ev[i].type == T_FENCE || s->ev[j].type == T_FENCE ||
                s->ev[i].loc != s->ev[j].loc)
                x.r[i] &= ~((row)1 << j);
    return x;
}

static bool psc_acyclic(const struct search *s, const struct relations *x)
{
    row all = UINT32_MAX, scf = x->sc & x->fence, scm = x->sc & x->memory;
    rel through = compose(&x->po, &x->hb);
    through = compose(&through, &x->po);
    rel scb = join(join(x->po, through), join(same_location(s, x->hb), join(x->co, x->rb)));
    rel hb_opt = optional(x->hb);
    rel identity = optional(none());
    rel left = join(between(identity, scm, scm), between(hb_opt, scf, all));
    rel right = join(between(identity, scm, scm), between(hb_opt, all, scf));
    rel base = compose(&left, &scb);
    base = compose(&base, &right);
    rel fences = compose(&x->hb, &x->eco);
    fences = compose(&fences, &x->hb);
    fences = between(join(x->hb, fences), scf, scf);
    return acyclic(join(base, fences));
}

static void judge(struct search *s)
{
    struct relations x;
    base_relations(s, &x);
    if (!acyclic(join(x.po, x.rf)))
        return;
    rel atomic = compose(&x.rb, &x.co);
    for (int i = 0; i < MAX; i++)
        if (atomic.r[i] & x.rmw.r[i])
            return;
    if (acyclic(join(join(x.po, x.rf), join(x.co, x.rb))))
        s->out->sc++;
    happens_before(&x);
    rel coherence = compose(&x.hb, &x.eco);
    if (!reflexive_somewhere(&x.hb) && !reflexive_somewhere(&coherence) && psc_acyclic(s, &x))
        s->out->rc11++;
}

/* ---- every candidate
 * ---------------------------------------------------------------------------- */

/* What a compare-and-swap, or a loop that has ended, has read. */
static bool suits(const struct litmus_step *step, long value, bool won)
{
    switch (step->op) {
    case L_CAS:
        return (value == step->expected) == won;
    case L_AWAIT:
        return value == step->value;
    case L_SPIN_XCHG:
        return value != step->value;
    case L_SPIN_CAS:
        return value == step->expected;
    default:
        return true;
    }
}

/* Values follow from rf; a read before its source is known makes po;rf cyclic: no candidate. */
static bool values_fit(struct search *s)
{
    bool known[MAX] = {false};
    int done = 0;
    for (bool progress = true; progress && done < s->n;) {
        progress = false;
        for (int i = 0; i < s->n; i++) {
            struct node *e = &s->ev[i];
            if (known[i])
                continue;
            long kept = 0;
            bool ready = true;
            for (int j = 0; j < i && e->thread >= 0; j++)
                if (s->ev[j].thread == e->thread) {
                    ready &= known[j];
                    if (s->ev[j].type == T_READ && s->ev[j].step->keep)
                        kept = s->ev[j].value;
                }
            if (!ready || (e->type == T_READ && !known[s->rf[i]]))
                continue;
            if (e->type == T_READ)
                e->value = s->ev[s->rf[i]].value;
            else if (e->type == T_WRITE && e->thread >= 0)
                e->value = e->step->op == L_ADD ? s->ev[i - 1].value + e->step->value
                           : e->step->from_kept ? kept
                                                : e->step->value;
            known[i] = progress = true;
            done++;
        }
    }
    if (done < s->n)
        return false;
    for (int i = 0; i < s->n; i++)
        if (s->ev[i].type == T_READ && !suits(s->ev[i].step, s->ev[i].value, s->ev[i].rmw))
            return false;
    return true;
}

static void choose_co(struct search *s, int loc);

/* Place the remaining writes of the location in every order; the initial one is first. */
static void permute(struct search *s, int loc, int from)
{
    if (from >= s->nco[loc]) {
        choose_co(s, loc + 1);
        return;
    }
    for (int i = from; i < s->nco[loc]; i++) {
        int w = s->co[loc][i];
        s->co[loc][i] = s->co[loc][from];
        s->co[loc][from] = w;
        permute(s, loc, from + 1);
        s->co[loc][from] = s->co[loc][i];
        s->co[loc][i] = w;
    }
}

static void choose_co(struct search *s, int loc)
{
    if (loc == LITMUS_LOCATIONS)
        judge(s);
    else
        permute(s, loc, 1);
}

static void choose_rf(struct search *s, int read)
{
    if (read == s->nreads) {
        if (values_fit(s))
            choose_co(s, 0);
        return;
    }
    int r = s->reads[read];
    for (int w = 0; w < s->n; w++)
        if (s->ev[w].type == T_WRITE && s->ev[w].loc == s->ev[r].loc) {
            s->rf[r] = w;
            choose_rf(s, read + 1);
        }
}

static void add(struct search *s, enum type type, int t, const struct litmus_step *step, int order,
                bool rmw)
{
    struct node *e = &s->ev[s->n];
    *e = (struct node){type, t, step != NULL ? step->location : s->n, order, step, rmw, 0};
    if (type == T_READ)
        s->reads[s->nreads++] = s->n;
    if (type == T_WRITE)
        s->co[e->loc][s->nco[e->loc]++] = s->n;
    s->n++;
}

static void build(struct search *s)
{
    s->n = s->nreads = s->cas = 0;
    memset(s->nco, 0, sizeof s->nco);
    for (int l = 0; l < LITMUS_LOCATIONS; l++)
        add(s, T_WRITE, -1, NULL, 0, false);
    for (int t = 0; t < s->p->threads; t++)
        for (int i = 0; i < s->p->length[t]; i++) {
            const struct litmus_step *step = &s->p->step[t][i];
            bool rmw = step->op == L_ADD || step->op == L_XCHG || step->op == L_SPIN_XCHG ||
                       step->op == L_SPIN_CAS;
            bool won = step->op == L_CAS && s->succeed >> s->cas++ & 1;
            if (step->op == L_FENCE)
                add(s, T_FENCE, t, step, step->order, false);
            else if (step->op != L_STORE)
                add(s, T_READ, t, step, step->op == L_CAS && !won ? __ATOMIC_RELAXED : step->order,
                    rmw || won);
            if (step->op == L_STORE || rmw || won)
                add(s, T_WRITE, t, step, step->order, rmw || won);
        }
}

static double candidates(const struct search *s)
{
    double n = 1;
    for (int i = 0; i < s->nreads; i++)
        n *= s->nco[s->ev[s->reads[i]].loc];
    for (int l = 0; l < LITMUS_LOCATIONS; l++)
        for (int i = 2; i < s->nco[l]; i++)
            n *= i;
    return n;
}

bool brute_count(const struct litmus *p, unsigned long limit, struct brute_counts *out)
{
    struct search s;
    memset(&s, 0, sizeof s);
    *out = (struct brute_counts){0};
    s.p = p;
    s.out = out;
    build(&s);
    int cas = s.cas;
    for (s.succeed = 0; s.succeed < 1 << cas; s.succeed++) {
        build(&s);
        if (s.n > MAX || candidates(&s) > (double)limit)
            return false;
        choose_rf(&s, 0);
    }
    return true;
}
