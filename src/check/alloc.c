/* alloc.c - memory of the checker itself, mapped apart from all that the program under test
 * sees. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

struct checker *lkc;
struct hot lkc_hot;

#define CHUNK ((size_t)4 << 20)
#define LARGE ((size_t)1 << 20)

struct pool {
    void *free[128];
    char *next, *end;
};
static struct pool *pool;

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        lkc_die("out of memory");
    return p;
}

/* Classes: multiples of 64 up to 1,024, then four to each doubling. */
static unsigned class_of(size_t size, size_t *rounded)
{
    if (size <= 1024) {
        unsigned c = (unsigned)((size + 63) / 64);
        *rounded = (size_t)c * 64;
        return c;
    }
    unsigned log = 63 - (unsigned)__builtin_clzll(size - 1);
    size_t step = (size_t)1 << (log - 2);
    *rounded = (size + step - 1) & ~(step - 1);
    unsigned quarter = (unsigned)((*rounded - 1) >> (log - 2)) & 3;
    return 17 + (log - 10) * 4 + quarter;
}

void *lkc_alloc(size_t size)
{
    size_t rounded;
    if (size == 0)
        size = 1;
    if (size > LARGE)
        return map(size);
    if (pool == NULL)
        pool = map(sizeof *pool);
    unsigned c = class_of(size, &rounded);
    void *p = pool->free[c];
    if (p != NULL) {
        /* cppcheck-suppress pointerSize ; the next block's address is what is stored there */
        memcpy(&pool->free[c], p, sizeof p);
        return p;
    }
    if ((size_t)(pool->end - pool->next) < rounded) {
        pool->next = map(CHUNK);
        pool->end = pool->next + CHUNK;
    }
    p = pool->next;
    pool->next += rounded;
    return p;
}

void lkc_free(void *p, size_t size)
{
    size_t rounded;
    if (p == NULL)
        return;
    if (size == 0)
        size = 1;
    if (size > LARGE) {
        (void)munmap(p, size);
        return;
    }
    unsigned c = class_of(size, &rounded);
    /* cppcheck-suppress pointerSize ; as above */
    memcpy(p, &pool->free[c], sizeof p);
    pool->free[c] = p;
}

void *lkc_grow(void *p, size_t old_size, size_t new_size)
{
    void *bigger = lkc_alloc(new_size);
    if (old_size != 0)
        memcpy(bigger, p, old_size);
    if (p != NULL)
        lkc_free(p, old_size);
    return bigger;
}

uint64_t lkc_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void lkc_die(const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof text - 1, format, ap);
    va_end(ap);
    if (n > (int)sizeof text - 2)
        n = (int)sizeof text - 2;
    text[n++] = '\n';
    (void)!write(2, "lk check: ", 10);
    (void)!write(2, text, (size_t)n);
    _exit(2);
}
