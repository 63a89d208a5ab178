/* order.c - lk order: what lk_order_write(fd, "json") of several processes says together. */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "order_locks.h"

static const char help[] =
    "usage: lk order merge FILE...    one graph of all: classes, edges, rings between classes\n"
    "       lk order dot FILE...      the same for Graphviz\n"
    "       lk order header FILE...   the order as C: LK_LEVEL() for each class, so that a "
    "program\n"
    "                                 that locks the other way round does not compile\n"
    "       lk order locks PID        who holds what, who waits for whom, in a process that has\n"
    "                                 called lk_key_dump_on(); it is not stopped\n"
    "\n"
    "FILE is what lk_order_write(fd, \"json\") wrote; classes of one name and place are one.\n"
    "\n"
    "  --json          merge: in the same form, to be merged again; locks: as JSON\n"
    "  -h, --help      this text\n"
    "exit: 0 done, 1 there is a ring (header: nothing is written), 2 bad usage,\n"
    "      3 a file cannot be read or is none of these\n";

struct class_of_locks {
    const char *name, *here;
    size_t waits; /* classes that must come before it, and have not yet */
    size_t level; /* 0 = none yet */
};

struct edge {
    size_t from, to;
    const char *holds_at, *wants_at;
};

struct graph {
    struct class_of_locks *class_;
    struct edge *edge;
    size_t n_classes, n_edges;
    json_t **file; /* owns the texts */
    size_t n_files, rings;
};

static void *grown(void *array, size_t n, size_t size)
{
    void *p = n % 64 == 0 ? realloc(array, (n + 64) * size) : array;
    if (p == NULL) {
        cli_fail(CLI_CANNOT, "no memory");
        exit(CLI_CANNOT);
    }
    return p;
}

static size_t class_number(struct graph *g, const char *name, const char *here)
{
    for (size_t i = 0; i < g->n_classes; i++)
        if (strcmp(g->class_[i].name, name) == 0 && strcmp(g->class_[i].here, here) == 0)
            return i;
    g->class_ = grown(g->class_, g->n_classes, sizeof *g->class_);
    g->class_[g->n_classes] = (struct class_of_locks){name, here, 0, 0};
    return g->n_classes++;
}

static void add_edge(struct graph *g, const struct edge *e)
{
    for (size_t i = 0; i < g->n_edges; i++)
        if (g->edge[i].from == e->from && g->edge[i].to == e->to)
            return;
    g->edge = grown(g->edge, g->n_edges, sizeof *g->edge);
    g->edge[g->n_edges++] = *e;
}

/* The class of this file with that number, or NULL. */
static json_t *numbered(json_t *classes, json_int_t number)
{
    size_t i;
    json_t *c;
    json_array_foreach(classes, i, c)
    {
        if (json_integer_value(json_object_get(c, "number")) == number)
            return c;
    }
    return NULL;
}

static bool merge_edge(struct graph *g, json_t *classes, json_t *edge)
{
    json_int_t from, to;
    struct edge e;
    const char *name[2], *here[2];
    if (json_unpack(edge, "{s:I, s:I, s:s, s:s}", "from", &from, "to", &to, "holds_at", &e.holds_at,
                    "wants_at", &e.wants_at) != 0)
        return false;
    for (int i = 0; i < 2; i++)
        if (json_unpack(numbered(classes, i == 0 ? from : to), "{s:s, s:s}", "name", &name[i],
                        "here", &here[i]) != 0)
            return false;
    e.from = class_number(g, name[0], here[0]);
    e.to = class_number(g, name[1], here[1]);
    add_edge(g, &e);
    return true;
}

static bool merge_file(struct graph *g, const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) {
        cli_fail(CLI_CANNOT, "%s: %s (line %d)", path, error.text, error.line);
        return false;
    }
    g->file = grown(g->file, g->n_files, sizeof *g->file);
    g->file[g->n_files++] = root;
    json_t *classes = json_object_get(root, "classes"), *edges = json_object_get(root, "edges");
    json_t *one;
    size_t i;
    bool sound = json_is_array(classes) && json_is_array(edges);
    json_array_foreach(classes, i, one)
    {
        const char *name, *here;
        if (json_unpack(one, "{s:s, s:s}", "name", &name, "here", &here) != 0)
            sound = false;
        else if (strcmp(name, "unnamed") != 0) /* that one is always there */
            (void)class_number(g, name, here);
    }
    json_array_foreach(edges, i, one)
    {
        sound = sound && merge_edge(g, classes, one);
    }
    g->rings += json_array_size(json_object_get(root, "rings"));
    if (!sound)
        cli_fail(CLI_CANNOT, "%s: not what lk_order_write() writes", path);
    return sound;
}

/* Give levels 10, 20, ... in an order in which every edge ascends.  Returns how many classes are
 * left over: those in rings, and behind them. */
static size_t sort_levels(struct graph *g)
{
    size_t left = g->n_classes, level = 0;
    for (size_t i = 0; i < g->n_edges; i++)
        g->class_[g->edge[i].to].waits++;
    for (bool any = true; any;) {
        any = false;
        for (size_t i = 0; i < g->n_classes; i++) {
            if (g->class_[i].level != 0 || g->class_[i].waits != 0)
                continue;
            g->class_[i].level = level += 10;
            left--;
            any = true;
            for (size_t e = 0; e < g->n_edges; e++)
                if (g->edge[e].from == i)
                    g->class_[g->edge[e].to].waits--;
        }
    }
    return left;
}

static void print_left_over(const struct graph *g, FILE *out)
{
    for (size_t i = 0; i < g->n_edges; i++) {
        const struct edge *e = &g->edge[i];
        if (g->class_[e->from].level == 0 && g->class_[e->to].level == 0)
            fprintf(out, "  %s (%s) is held when %s (%s) is wanted\n", g->class_[e->from].name,
                    e->holds_at, g->class_[e->to].name, e->wants_at);
    }
}

static void print_text(const struct graph *g, size_t left)
{
    printf("%zu files, %zu classes, %zu edges, %zu rings seen inside of one process\n", g->n_files,
           g->n_classes, g->n_edges, g->rings);
    for (size_t i = 0; i < g->n_edges; i++)
        printf("  %s -> %s  (%s, then %s)\n", g->class_[g->edge[i].from].name,
               g->class_[g->edge[i].to].name, g->edge[i].holds_at, g->edge[i].wants_at);
    if (left != 0) {
        printf("no order fits: a ring among\n");
        print_left_over(g, stdout);
    }
}

static void print_json(const struct graph *g)
{
    json_t *classes = json_array(), *edges = json_array();
    for (size_t i = 0; i < g->n_classes; i++)
        json_array_append_new(classes, json_pack("{s:I, s:s, s:s}", "number", (json_int_t)i, "name",
                                                 g->class_[i].name, "here", g->class_[i].here));
    for (size_t i = 0; i < g->n_edges; i++)
        json_array_append_new(edges,
                              json_pack("{s:I, s:I, s:s, s:s}", "from", (json_int_t)g->edge[i].from,
                                        "to", (json_int_t)g->edge[i].to, "holds_at",
                                        g->edge[i].holds_at, "wants_at", g->edge[i].wants_at));
    json_t *root = json_pack("{s:o, s:o, s:[]}", "classes", classes, "edges", edges, "rings");
    (void)json_dumpf(root, stdout, JSON_INDENT(1));
    (void)putchar('\n');
    json_decref(root);
}

/* Text inside double quotes. */
static void print_quoted(const char *text)
{
    for (; *text != 0; text++) {
        if (*text == '"' || *text == '\\')
            (void)putchar('\\');
        (void)putchar(*text);
    }
}

static void print_dot(const struct graph *g)
{
    printf("digraph order {\n  node [shape=box];\n");
    for (size_t i = 0; i < g->n_classes; i++) {
        printf("  c%zu [label=\"", i);
        print_quoted(g->class_[i].name);
        printf("\"%s];\n", g->class_[i].level == 0 ? ", color=red" : "");
    }
    for (size_t i = 0; i < g->n_edges; i++) {
        printf("  c%zu -> c%zu [label=\"", g->edge[i].from, g->edge[i].to);
        print_quoted(g->edge[i].wants_at);
        printf("\"];\n");
    }
    printf("}\n");
}

/* A name for C; a number is added if another class before has the same. */
static void print_name(const struct graph *g, size_t i)
{
    unsigned same = 0;
    const char *name = g->class_[i].name;
    if (!isalpha((unsigned char)*name))
        printf("l_");
    for (const char *c = name; *c != 0; c++)
        (void)putchar(isalnum((unsigned char)*c) ? *c : '_');
    for (size_t j = 0; j < i; j++)
        same += strcmp(g->class_[j].name, name) == 0;
    if (same > 0)
        printf("_%u", same + 1);
}

static void print_header(const struct graph *g)
{
    printf("/* The order in which locks were taken, as seen at run time.  Made by lk order header. "
           "*/\n"
           "#include <latchkey/level.h>\n\n");
    for (size_t level = 10; level <= 10 * g->n_classes; level += 10)
        for (size_t i = 0; i < g->n_classes; i++)
            if (g->class_[i].level == level) {
                printf("LK_LEVEL(");
                print_name(g, i);
                printf(", %zu);\n", level);
            }
    (void)putchar('\n');
    for (size_t i = 0; i < g->n_edges; i++) {
        printf("LK_LEVEL_BEFORE(");
        print_name(g, g->edge[i].from);
        printf(", ");
        print_name(g, g->edge[i].to);
        printf("); /* %s, then %s */\n", g->edge[i].holds_at, g->edge[i].wants_at);
    }
}

static int print(const char *action, struct graph *g, bool json)
{
    size_t left = sort_levels(g);
    if (strcmp(action, "dot") == 0) {
        print_dot(g);
    } else if (strcmp(action, "merge") == 0) {
        if (json)
            print_json(g);
        else
            print_text(g, left);
    } else if (left == 0) {
        print_header(g);
    } else {
        cli_fail(CLI_PROBLEM, "no order fits: a ring among");
        print_left_over(g, stderr);
    }
    return left == 0 ? CLI_OK : CLI_PROBLEM;
}

int cmd_order(int argc, char **argv)
{
    static const struct cli_option options[] = {
        {'j', "json", NULL, ""},
        {'h', "help", NULL, ""},
    };
    struct cli_args a = {.argc = argc, .argv = argv, .options = options, .n_options = 2};
    struct graph g = {0};
    bool json = false;
    for (int letter; (letter = cli_args_next(&a)) != 0;) {
        if (letter < 0)
            return CLI_USAGE;
        if (letter == 'h')
            return cli_help(help);
        json = true;
    }
    if (a.n_words < 2)
        return cli_usage("merge, dot or header, and at least one file; or locks and a PID");
    const char *action = a.words[0];
    if (strcmp(action, "locks") == 0)
        return a.n_words == 2 ? order_locks(a.words[1], json) : cli_usage("locks: one PID");
    if (strcmp(action, "merge") != 0 && strcmp(action, "dot") != 0 && strcmp(action, "header") != 0)
        return cli_usage("'%s': merge, dot, header or locks", action);
    int code = CLI_OK;
    for (int i = 1; i < a.n_words && code == CLI_OK; i++)
        code = merge_file(&g, a.words[i]) ? CLI_OK : CLI_CANNOT;
    if (code == CLI_OK)
        code = print(action, &g, json);
    for (size_t i = 0; i < g.n_files; i++)
        json_decref(g.file[i]);
    free(g.file);
    free(g.class_);
    free(g.edge);
    return code;
}
