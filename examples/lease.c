/* lease.c - compute once: many ask for an absent value, one computes it, the others get it.
 *
 * Without a lease a popular entry that expires is computed by everybody at once.  Here eight
 * processes ask for the same key; and the first that gets the lease is killed while it computes:
 * one of those that wait gets the lease at once. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <latchkey/latchkey.h>

enum { PROCESSES = 8 };
static const char key[] = "report";

static int fail(const char *what, int rc)
{
    fprintf(stderr, "%s: %s\n", what, lk_strerror(rc));
    return 1;
}

/* The expensive part.  The first process to come here dies in the middle of it. */
static size_t compute(lk_cache *cache, char *buf, size_t capacity)
{
    int64_t begun = 0;
    if (lk_cache_incr(cache, "begun", 5, 1, 1, LK_TTL_NEVER, &begun) != 0)
        return 0;
    usleep(20000);
    if (begun == 1)
        raise(SIGKILL);
    return (size_t)snprintf(buf, capacity, "computed at attempt %lld", (long long)begun);
}

static int ask(lk_cache *cache)
{
    char value[128];
    size_t size;
    struct lk_lease lease;
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += 10;
    int rc =
        lk_cache_lease(cache, key, strlen(key), value, sizeof value, &size, 0, &deadline, &lease);
    if (rc == ENOENT) { /* ours to compute; the others wait meanwhile */
        size = compute(cache, value, sizeof value);
        rc = lk_cache_fill(cache, key, strlen(key), value, size, LK_TTL_NEVER, &lease);
    }
    if (rc != 0)
        return fail("lease", rc);
    return size == 21 && memcmp(value, "computed at attempt 2", size) == 0 ? 0 : 2;
}

int main(void)
{
    lk_cache *cache;
    int rc = lk_cache_open_anonymous(&cache, NULL);
    if (rc != 0)
        return fail("open", rc);
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0)
            _exit(ask(cache));
    int served = 0, killed = 0, status;
    while (wait(&status) > 0) {
        served += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    }
    struct lk_cache_stat stat;
    rc = lk_cache_stat(cache, &stat);
    printf("%d processes asked: %d killed while it computed, %d served; leases given %llu, "
           "taken over from the dead %llu\n",
           PROCESSES, killed, served, (unsigned long long)stat.leases,
           (unsigned long long)stat.lease_deaths);
    lk_cache_close(cache);
    return rc == 0 && killed == 1 && served == PROCESSES - 1 ? 0 : 1;
}
