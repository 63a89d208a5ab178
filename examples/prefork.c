/* prefork.c - a prefork server's workers share one cache through fork.
 *
 * The parent opens the cache, forks workers that inherit the handle, kills one of them with SIGKILL
 * while all are busy, and starts another in its place, as a server would.  Nobody notices. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <latchkey/latchkey.h>

enum { WORKERS = 4, REQUESTS = 20000, PAGES = 500 };

/* Serve one page: from the cache, or made and stored.  False if the cache said something else. */
static int serve(lk_cache *cache, unsigned page)
{
    char key[32], body[256], cached[256];
    size_t size;
    int key_size = snprintf(key, sizeof key, "page:%u", page);
    int body_size = snprintf(body, sizeof body, "this is page %u", page);
    int rc = lk_cache_get(cache, key, (size_t)key_size, cached, sizeof cached, &size);
    if (rc == ENOENT)
        return lk_cache_set(cache, key, (size_t)key_size, body, (size_t)body_size,
                            LK_TTL_DEFAULT) == 0;
    return rc == 0 && size == (size_t)body_size && memcmp(cached, body, size) == 0;
}

static void work(lk_cache *cache, unsigned seed)
{
    for (int i = 0; i < REQUESTS; i++) {
        seed = seed * 1103515245u + 12345u;
        if (!serve(cache, (seed >> 16) % PAGES) ||
            lk_cache_incr(cache, "served", 6, 1, 1, LK_TTL_NEVER, NULL) != 0)
            _exit(1);
    }
    _exit(0);
}

static pid_t start(lk_cache *cache, unsigned seed)
{
    pid_t pid = fork(); /* the child may go on using the handle: it attaches by itself */
    if (pid == 0)
        work(cache, seed);
    return pid;
}

int main(void)
{
    lk_cache *cache;
    struct lk_cache_options options = {.capacity_bytes = 1u << 20};
    int rc = lk_cache_open_anonymous(&cache, &options); /* no name: only heirs can reach it */
    if (rc != 0) {
        fprintf(stderr, "open: %s (%s)\n", lk_strerror(rc), lk_error_text());
        return 1;
    }
    pid_t workers[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i] = start(cache, i + 1);

    usleep(5000); /* all are busy now */
    kill(workers[0], SIGKILL);
    waitpid(workers[0], NULL, 0);
    workers[0] = start(cache, WORKERS + 1);

    int failed = 0, status;
    for (unsigned i = 0; i < WORKERS; i++)
        failed += waitpid(workers[i], &status, 0) != workers[i] || status != 0;

    int64_t served = 0; /* adding nothing reads a counter */
    rc = lk_cache_incr(cache, "served", 6, 0, 0, LK_TTL_DEFAULT, &served);
    printf("%lld pages served by %d workers; 1 killed and replaced; %d failed; cache %s\n",
           (long long)served, WORKERS, failed,
           lk_cache_verify(cache, NULL, NULL) == 0 ? "sound" : "damaged");
    lk_cache_close(cache);
    return rc == 0 && failed == 0 && served >= (int64_t)WORKERS * REQUESTS ? 0 : 1;
}
