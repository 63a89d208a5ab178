/* bench_db_btrees.c - python3-btrees (LLBTree) in a Python of its own, as a peer of lk db bench.
 * It measures itself: what is timed is the loop that a Python program would write. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_db_peers.h"

static char program[] =
    "import random, sys, time\n"
    "from BTrees.LLBTree import LLBTree\n"
    "from importlib.metadata import version\n"
    "n = int(sys.argv[1])\n"
    "ordered = list(range(n))\n"
    "value = [(k * 0x9e3779b97f4a7c15 & (1 << 64) - 1) >> 16 for k in ordered]\n"
    "shuffled = ordered[:]\n"
    "random.seed(1)\n"
    "random.shuffle(shuffled)\n"
    "print(version('BTrees'), flush=True)\n"
    "for line in sys.stdin:\n"
    "    work, count = line.split()\n"
    "    count = int(count)\n"
    "    asked = [int(k) for k in sys.stdin.readline().split()]\n"
    "    total = 0\n"
    "    if work == 'reset': tree = None\n"
    "    begun = time.process_time_ns()\n"
    "    if work == 'reset': tree = LLBTree()\n"
    "    elif work == 'insert':\n"
    "        for k in shuffled: tree[k] = value[k]\n"
    "    elif work == 'append':\n"
    "        for k in ordered: tree[k] = value[k]\n"
    "    elif work == 'get':\n"
    "        for k in asked: total += tree[k]\n"
    "    elif work == 'scan':\n"
    "        for k, v in tree.items(): total += v\n"
    "    elif work == 'range':\n"
    "        for k in asked:\n"
    "            for v in tree.values(k, k + 99): total += v\n"
    "    print(time.process_time_ns() - begun, total & (1 << 64) - 1, flush=True)\n";

struct python {
    struct bench_child child;
    FILE *to, *from;
};

static void done(struct db_peer *p)
{
    struct python *y = p->state;
    if (y == NULL)
        return;
    if (y->to != NULL)
        (void)fclose(y->to);
    if (y->from != NULL)
        (void)fclose(y->from);
    y->child.in = y->child.out = -1; /* closed with the streams */
    bench_child_end(&y->child);
    free(y);
    p->state = NULL;
}

static int start(struct db_peer *p, const struct db_load *load)
{
    char count[32], python[] = "/usr/bin/python3", option[] = "-c";
    char *argv[] = {python, option, program, count, NULL};
    struct python *y = p->state = calloc(1, sizeof *y);
    snprintf(count, sizeof count, "%" PRIu64, load->n);
    if (y == NULL || !bench_child_start(&y->child, argv, load->cpu, true))
        return db_peer_failed(p, "no process");
    y->to = fdopen(y->child.in, "w");
    y->from = fdopen(y->child.out, "r");
    if (y->to == NULL || y->from == NULL ||
        fgets(p->version, (int)sizeof p->version, y->from) == NULL)
        return db_peer_failed(p, "install python3-btrees to see it here");
    p->version[strcspn(p->version, "\n")] = '\0';
    return 0;
}

static int ask(struct db_peer *p, const char *work, const struct db_load *load, uint64_t n,
               uint64_t *sum)
{
    struct python *y = p->state;
    char answer[64], *rest;
    (void)fprintf(y->to, "%s %" PRIu64 "\n", work, n);
    for (uint64_t i = 0; i < n; i++)
        (void)fprintf(y->to, "%" PRId64 " ", load->asked[i]);
    if (fputc('\n', y->to) == EOF || fflush(y->to) != 0 ||
        fgets(answer, sizeof answer, y->from) == NULL)
        return db_peer_failed(p, "Python ended");
    p->own_ns = (double)strtoull(answer, &rest, 10);
    if (*rest != ' ')
        return db_peer_failed(p, "Python said '%s'", answer);
    *sum += strtoull(rest, NULL, 10);
    return 0;
}

static int reset(struct db_peer *p, const struct db_load *load)
{
    uint64_t sum = 0;
    int rc = p->state == NULL ? start(p, load) : 0;
    return rc == 0 ? ask(p, "reset", load, 0, &sum) : rc;
}

static int fill(struct db_peer *p, const struct db_load *load, bool append)
{
    uint64_t sum = 0;
    return ask(p, append ? "append" : "insert", load, 0, &sum);
}

static int get(struct db_peer *p, const struct db_load *load, uint64_t n, uint64_t *sum)
{
    return ask(p, "get", load, n, sum);
}

static int scan(struct db_peer *p, const struct db_load *load, uint64_t *sum)
{
    return ask(p, "scan", load, 0, sum);
}

static int range(struct db_peer *p, const struct db_load *load, uint64_t n, uint64_t *sum)
{
    return ask(p, "range", load, n, sum);
}

const struct db_peer db_peer_btrees = {
    .name = "python3-btrees",
    .how = "LLBTree in Python, the loop included",
    .reset = reset,
    .fill = fill,
    .get = get,
    .scan = scan,
    .range = range,
    .close = done,
};
