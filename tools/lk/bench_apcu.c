/* bench_apcu.c - APCu: a PHP command line process with apc.enable_cli=1 that fetches and stores
 * in a loop of its own; we tell it how many and take the time around it. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "cli.h"

/* Reads entries and requests (key, mark) from files, stores and compares every entry, says "ready";
 * then answers "get FIRST N" and "set FIRST N" with how many were hits or stored. */
static const char script[] =
    "function rows($f) { return str_split(file_get_contents($f), 28); }\n"
    "$d = $argv[1]; $tail = file_get_contents(\"$d/tail\");\n"
    "foreach (rows(\"$d/entries\") as $r)\n"
    "    apcu_store(substr($r, 0, 20), substr($r, 20) . $tail);\n"
    "foreach (rows(\"$d/entries\") as $r)\n"
    "    if (apcu_fetch(substr($r, 0, 20)) !== substr($r, 20) . $tail) exit(1);\n"
    "$keys = []; $values = [];\n"
    "foreach (rows(\"$d/asked\") as $r) {\n"
    "    $keys[] = substr($r, 0, 20); $values[] = substr($r, 20) . $tail; }\n"
    "function get($keys, $i, $end, $mask) { $n = 0;\n"
    "    for (; $i < $end; $i++) if (apcu_fetch($keys[$i & $mask]) !== false) $n++;\n"
    "    return $n; }\n"
    "function set($keys, $values, $i, $end, $mask) { $n = 0;\n"
    "    for (; $i < $end; $i++) if (apcu_store($keys[$i & $mask], $values[$i & $mask])) $n++;\n"
    "    return $n; }\n"
    "echo \"ready\\n\";\n"
    "while (($l = fgets(STDIN)) !== false) {\n"
    "    [$what, $first, $n] = explode(' ', trim($l)); $mask = count($keys) - 1;\n"
    "    echo $what == 'get' ? get($keys, $first, $first + $n, $mask)\n"
    "        : set($keys, $values, $first, $first + $n, $mask), \"\\n\"; }\n";

struct state {
    char directory[64];
    struct bench_child php;
};

static void apcu_close(struct bench_peer *p)
{
    struct state *s = p->state;
    bench_child_end(&s->php);
    bench_directory_remove(s->directory);
    free(s);
    p->state = NULL;
}

static FILE *create(const char *directory, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return fopen(path, "wb");
}

/* Close the file; did all get there? */
static bool written(FILE *f)
{
    if (f == NULL)
        return false;
    bool good = ferror(f) == 0;
    return fclose(f) == 0 && good;
}

static bool write_rows(const struct state *s, const struct bench_load *load)
{
    FILE *tail = create(s->directory, "tail"), *entries = create(s->directory, "entries");
    FILE *asked = create(s->directory, "asked");
    bool done = tail != NULL && entries != NULL && asked != NULL;
    if (done)
        fwrite(load->value + 8, 1, load->value_size - 8, tail);
    for (size_t i = 0; done && i < load->entries; i++) {
        uint64_t mark = bench_mark((uint32_t)i);
        fwrite(load->keys[i], 1, BENCH_KEY_SIZE, entries);
        fwrite(&mark, 1, sizeof mark, entries);
    }
    for (size_t i = 0; done && i < BENCH_REQUESTS; i++) {
        uint64_t mark = bench_mark(load->ids[i]);
        fwrite(load->asked[i], 1, BENCH_KEY_SIZE, asked);
        fwrite(&mark, 1, sizeof mark, asked);
    }
    done = written(tail) && done;
    done = written(entries) && done;
    return written(asked) && done;
}

/* One line from the script within a minute. */
static bool answer(const struct state *s, char *buf, size_t capacity)
{
    for (size_t used = 0; used + 1 < capacity && !cli_stop;) {
        struct pollfd ready = {.fd = s->php.out, .events = POLLIN};
        if (poll(&ready, 1, 60000) <= 0)
            return false;
        ssize_t n = read(s->php.out, buf + used, capacity - used - 1);
        if (n <= 0)
            return false;
        used += (size_t)n;
        buf[used] = '\0';
        char *end = strchr(buf, '\n');
        if (end != NULL) {
            *end = '\0';
            return true;
        }
    }
    return false;
}

static size_t tell(const struct state *s, const char *what, size_t first, size_t n)
{
    char line[64];
    int size = snprintf(line, sizeof line, "%s %zu %zu\n", what, first & (BENCH_REQUESTS - 1), n);
    if (write(s->php.in, line, (size_t)size) != size || !answer(s, line, sizeof line))
        return 0;
    return strtoul(line, NULL, 10);
}

static int apcu_open(struct bench_peer *p, const struct bench_load *load)
{
    if (!bench_first_line("php -d apc.enable_cli=1 -r 'echo phpversion(\"apcu\"), \" on PHP \", "
                          "PHP_VERSION;' 2>/dev/null",
                          p->version, sizeof p->version) ||
        p->version[0] == ' ') {
        bench_peer_failed(p, "php-cli with php-apcu is not installed");
        return ENOENT;
    }
    struct state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return bench_peer_failed(p, "no memory");
    p->state = s;
    s->php.pid = s->php.in = s->php.out = -1;
    char memory[48], code[sizeof script], line[64] = "";
    memcpy(code, script, sizeof script);
    snprintf(memory, sizeof memory, "apc.shm_size=%zuM",
             (load->entries * (load->value_size + 400) >> 20) + 32);
    if (bench_directory_make(s->directory) && write_rows(s, load)) {
        char *const argv[] = {"php",  "-d", "apc.enable_cli=1", "-d",
                              memory, "-d", "memory_limit=-1",  "-r",
                              code,   "--", s->directory,       NULL};
        if (bench_child_start(&s->php, argv, bench_cpu(0), true) && answer(s, line, sizeof line) &&
            strcmp(line, "ready") == 0) {
            bench_directory_remove(s->directory);
            return 0;
        }
    }
    apcu_close(p);
    return bench_peer_failed(p, "the PHP script failed");
}

static size_t apcu_get(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n,
                       uint64_t *sum)
{
    (void)load;
    (void)sum;
    return tell(p->state, "get", first, n);
}

static size_t apcu_set(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n)
{
    (void)load;
    return tell(p->state, "set", first, n);
}

const struct bench_peer bench_peer_apcu = {
    .name = "APCu",
    .how = "apcu_fetch / apcu_store in a loop of a PHP script, the loop included; values compared "
           "once",
    .open = apcu_open,
    .get = apcu_get,
    .set = apcu_set,
    .close = apcu_close,
    .no_sum = true,
    .remote = true,
};
