#include "descendants.h"

#include <ctype.h>
#include <dirent.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIDS_MAX = 4096 };

struct process {
    pid_t pid, parent;
    char state;
};

/* Read a small file of /proc into text; false if the process is gone. */
static bool read_file(const char *path, char *text, size_t capacity)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, capacity - 1);
    (void)close(fd);
    if (n < 0)
        return false;
    text[n] = '\0';
    return true;
}

static bool read_process(const char *name, struct process *p)
{
    char path[64], text[512];
    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", name);
    if (!read_file(path, text, sizeof text))
        return false;
    /* The name in parentheses may hold anything, a parenthesis too: look from the end. */
    const char *end = strrchr(text, ')');
    if (end == NULL || sscanf(end + 1, " %c %d", &p->state, &p->parent) != 2)
        return false;
    p->pid = (pid_t)strtol(name, NULL, 10);
    return true;
}

char t_state(pid_t task)
{
    char name[24];
    struct process p;
    (void)snprintf(name, sizeof name, "%d", (int)task);
    return read_process(name, &p) ? p.state : 0;
}

static size_t read_processes(struct process *all, size_t capacity)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        return 0;
    size_t n = 0;
    const struct dirent *entry;
    while (n < capacity && (entry = readdir(proc)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]) && read_process(entry->d_name, &all[n]))
            n++;
    (void)closedir(proc);
    return n;
}

static bool is_below(const struct process *all, size_t n, const pid_t *found, size_t found_n,
                     pid_t root, size_t i)
{
    for (size_t k = 0; k < found_n; k++)
        if (found[k] == all[i].pid)
            return false; /* there already */
    if (all[i].parent == root)
        return true;
    for (size_t k = 0; k < n; k++)
        if (all[k].pid == all[i].parent)
            for (size_t f = 0; f < found_n; f++)
                if (found[f] == all[k].pid)
                    return true;
    return false;
}

size_t t_descendants(pid_t root, pid_t *pids, size_t capacity)
{
    struct process *all = malloc(PIDS_MAX * sizeof *all);
    if (all == NULL)
        return 0;
    size_t n = read_processes(all, PIDS_MAX), found = 0;
    bool grown = true;
    while (grown) {
        grown = false;
        for (size_t i = 0; i < n && found < capacity; i++) {
            if (all[i].state == 'Z' || all[i].state == 'X')
                continue;
            if (is_below(all, n, pids, found, root, i)) {
                pids[found++] = all[i].pid;
                grown = true;
            }
        }
    }
    free(all);
    return found;
}

static void print_backtrace(int signal)
{
    (void)signal;
    void *frames[64];
    char head[64];
    int length =
        snprintf(head, sizeof head, "  backtrace of thread %ld:\n", (long)syscall(SYS_gettid));
    (void)!write(STDERR_FILENO, head, (size_t)length);
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
}

void t_backtrace_prepare(void)
{
    void *frames[1];
    (void)backtrace(frames, 1); /* loads what the handler may not load */
    struct sigaction action = {.sa_handler = print_backtrace, .sa_flags = SA_RESTART};
    (void)sigaction(SIGRTMAX - 1, &action, NULL);
}

/* Only processes that run this program have the handler; to others the signal is deadly. */
static bool catches_backtrace(pid_t pid)
{
    char path[64], text[4096];
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if (!read_file(path, text, sizeof text))
        return false;
    const char *line = strstr(text, "SigCgt:");
    unsigned long long caught = line ? strtoull(line + 7, NULL, 16) : 0;
    return (caught >> (SIGRTMAX - 2)) & 1;
}

static void show_thread(pid_t pid, const char *tid)
{
    static const char *const files[] = {"syscall", "wchan"};
    char path[96], text[256];
    fprintf(stderr, "  thread %s:", tid);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "/proc/%d/task/%.20s/%s", (int)pid, tid, files[i]);
        if (read_file(path, text, sizeof text))
            fprintf(stderr, " %s=%.*s", files[i], (int)strcspn(text, "\n"), text);
    }
    fputc('\n', stderr);
    if (catches_backtrace(pid)) {
        (void)syscall(SYS_tgkill, pid, (pid_t)strtol(tid, NULL, 10), SIGRTMAX - 1);
        (void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
}

void t_descendants_show(const pid_t *pids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char path[64], text[256] = "";
        struct process p = {0};
        char name[16];
        (void)snprintf(name, sizeof name, "%d", (int)pids[i]);
        (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pids[i]);
        if (!read_process(name, &p) || !read_file(path, text, sizeof text))
            continue;
        fprintf(stderr, "process %d (%.*s) state %c\n", (int)pids[i], (int)strcspn(text, "\n"),
                text, p.state);
        (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pids[i]);
        DIR *tasks = opendir(path);
        const struct dirent *entry;
        while (tasks != NULL && (entry = readdir(tasks)) != NULL)
            if (entry->d_name[0] != '.')
                show_thread(pids[i], entry->d_name);
        if (tasks != NULL)
            (void)closedir(tasks);
    }
}

size_t t_descendants_kill(pid_t root)
{
    static pid_t pids[PIDS_MAX];
    size_t killed = 0;
    /* What is killed may have forked just before: look again until nothing is left.  Orphans
     * come to us, the subreaper. */
    for (int round = 0; round < 1000; round++) {
        size_t n = t_descendants(root, pids, PIDS_MAX);
        for (size_t i = 0; i < n; i++)
            if (kill(pids[i], SIGKILL) == 0 && round == 0)
                killed++;
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (n == 0)
            break;
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return killed;
}
