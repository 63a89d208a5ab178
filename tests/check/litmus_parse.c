/* litmus_parse.c - "Wx1.rel Ry.acq | Wy1.rel Rx.acq" */
#include <ctype.h>
#include <string.h>

#include "litmus.h"

static const char location_names[] = "xyzabc";

static int location_of(char c)
{
    const char *at = c != 0 ? strchr(location_names, c) : NULL;
    return at != NULL ? (int)(at - location_names) : -1;
}

static bool parse_order(const char **s, int *order)
{
    static const struct {
        const char *name;
        int order;
    } names[] = {
        {".rlx", __ATOMIC_RELAXED}, {".acq", __ATOMIC_ACQUIRE}, {".rel", __ATOMIC_RELEASE},
        {".ar", __ATOMIC_ACQ_REL},  {".sc", __ATOMIC_SEQ_CST},
    };
    *order = __ATOMIC_RELAXED;
    if (**s != '.')
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(*s, names[i].name, strlen(names[i].name)) == 0) {
            *s += strlen(names[i].name);
            *order = names[i].order;
            return true;
        }
    return false;
}

static int number(const char **s)
{
    int n = 0;
    while (isdigit((unsigned char)**s))
        n = 10 * n + *(*s)++ - '0';
    return n;
}

static bool parse_step(const char **s, struct litmus_step *step)
{
    *step = (struct litmus_step){0};
    if ((*s)[0] != 0 && (*s)[1] == '=') { /* a=Rx */
        step->keep = true;
        *s += 2;
    }
    char c = *(*s)++;
    static const char letters[] = "WRAXCF";
    const char *op = c != 0 ? strchr(letters, c) : NULL;
    if (op == NULL)
        return false;
    static const enum litmus_op ops[] = {L_STORE, L_LOAD, L_ADD, L_XCHG, L_CAS, L_FENCE};
    step->op = ops[op - letters];
    if (step->op != L_FENCE && (step->location = location_of(*(*s)++)) < 0)
        return false;
    if (step->op == L_CAS) {
        step->expected = number(s);
        if (*(*s)++ != '>')
            return false;
    }
    if (step->op == L_STORE && isalpha((unsigned char)**s)) {
        step->from_kept = true;
        (*s)++;
    } else {
        step->value = number(s);
    }
    return parse_order(s, &step->order);
}

bool litmus_parse(struct litmus *p, const char *text)
{
    memset(p, 0, sizeof *p);
    p->threads = 1;
    for (const char *s = text; *s != 0;) {
        int t = p->threads - 1;
        if (*s == ' ') {
            s++;
        } else if (*s == '|') {
            s++;
            if (p->threads++ == LITMUS_THREADS)
                return false;
        } else if (p->length[t] == LITMUS_OPS || !parse_step(&s, &p->step[t][p->length[t]++])) {
            return false;
        }
    }
    return true;
}
