/* use.c - a C program as users build it: nothing but the installed headers and library. */
#include <latchkey/latchkey.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct lk_cache_options options = {.flags = LK_CACHE_CREATE, .capacity_bytes = 1u << 16};
    lk_cache *cache;
    int rc = lk_cache_open_anonymous(&cache, &options);
    char value[16];
    size_t size = 0;
    if (rc == 0)
        rc = lk_cache_set(cache, "key", 3, "value", 5, LK_TTL_DEFAULT);
    if (rc == 0)
        rc = lk_cache_get(cache, "key", 3, value, sizeof value, &size);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", lk_strerror(rc), lk_error_text());
        return 1;
    }
    lk_cache_close(cache);
    printf("%.*s from latchkey %s\n", (int)size, value, lk_version());
    return size == 5 && memcmp(value, "value", 5) == 0 ? 0 : 1;
}
