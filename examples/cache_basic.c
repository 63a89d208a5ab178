/* cache_basic.c - one cache for all processes that open it by name.
 *
 * Run it twice: the second run finds what the first one computed.  `lk cache list pages` shows it,
 * `lk top` watches it, `lk cache unlink pages` removes it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <latchkey/latchkey.h>

static int fail(const char *what, int rc)
{
    fprintf(stderr, "%s: %s (%s)\n", what, lk_strerror(rc), lk_error_text());
    return 1;
}

int main(void)
{
    struct lk_cache_options options = {
        .flags = LK_CACHE_CREATE, /* make it, or attach the one that is there */
        .capacity_bytes = 64u << 20,
        .ttl_ns = 3600 * UINT64_C(1000000000),
    };
    lk_cache *cache;
    int rc = lk_cache_open(&cache, "pages", &options);
    if (rc != 0)
        return fail("open", rc);

    const char *key = "/index.html";
    char page[4096];
    size_t size;
    rc = lk_cache_get(cache, key, strlen(key), page, sizeof page, &size);
    if (rc == ENOENT) { /* absent: compute it and store it for all */
        size = (size_t)snprintf(page, sizeof page, "<h1>hello</h1>");
        rc = lk_cache_set(cache, key, strlen(key), page, size, LK_TTL_DEFAULT);
        printf("computed ");
    }
    if (rc != 0)
        return fail(key, rc);
    printf("%.*s\n", (int)size, page);
    lk_cache_close(cache);
    return 0;
}
