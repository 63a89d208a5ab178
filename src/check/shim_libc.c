/* shim_libc.c - memory, assertions, output. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "hooks.h"
#include "shim.h"
#include "shim/lkc_shim.h"

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

/* ---- the heap
 * ----------------------------------------------------------------------------------- */

void *lkc_k_malloc(size_t size)
{
    struct fiber *f = hook_enter();
    return f == NULL ? __libc_malloc(size) : heap_new(size, 16, false, lkc_trap_pc(f));
}

void *lkc_k_calloc(size_t n, size_t size)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        return __libc_calloc(n, size);
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return heap_new(bytes, 16, true, lkc_trap_pc(f));
}

void *lkc_k_realloc(void *p, size_t size)
{
    struct fiber *f = hook_enter();
    if (f == NULL && !heap_owns(p))
        return __libc_realloc(p, size);
    size_t old = p != NULL ? heap_size(p) : 0, keep = old < size ? old : size;
    void *fresh = heap_new(size, 16, false, lkc_trap_pc(f));
    if (fresh != NULL && p != NULL) {
        plain_read((uintptr_t)p, keep, lkc_trap_pc(f));
        memcpy(fresh, p, keep);
        heap_delete(p, lkc_trap_pc(f));
    }
    return fresh;
}

void *lkc_k_aligned_alloc(size_t align, size_t size)
{
    struct fiber *f = hook_enter();
    return f == NULL ? __libc_memalign(align, size) : heap_new(size, align, false, lkc_trap_pc(f));
}

int lkc_k_posix_memalign(void **p, size_t align, size_t size)
{
    void *fresh = lkc_k_aligned_alloc(align, size);
    if (fresh == NULL)
        return ENOMEM;
    *p = fresh;
    return 0;
}

void lkc_k_free(void *p)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        heap_delete(p, lkc_trap_pc(f));
    else if (!heap_owns(p))
        __libc_free(p);
}

/* ---- assertions
 * --------------------------------------------------------------------------------- */

_Noreturn static void outside(const char *what)
{
    lkc_die("%s, outside of any exploration", what);
}

void lkc_k_assert_fail(const char *what, const char *file, unsigned line, const char *function)
{
    struct fiber *f = hook_enter();
    (void)file, (void)line, (void)function;
    if (f == NULL)
        outside(what);
    error_stop(LK_CHECK_ASSERT, lkc_trap_pc(f), "assertion \"%s\" does not hold", what);
}

void lkc_k_check_fail(const char *what, const char *file, int line)
{
    lkc_k_assert_fail(what, file, (unsigned)line, "");
}

void lkc_k_abort(void)
{
    struct fiber *f = hook_enter();
    if (f == NULL)
        outside("abort()");
    error_stop(LK_CHECK_ASSERT, lkc_trap_pc(f), "abort() is called");
}

void lkc_k_check_assume(bool condition)
{
    struct fiber *f = hook_enter();
    if (f != NULL && !condition)
        run_stuck(STUCK_ASSUME, f->pos);
}

uint32_t lkc_k_check_choose(uint32_t ways)
{
    struct fiber *f = hook_enter();
    return f == NULL || ways < 2 ? 0 : explore_choice(ways, lkc_trap_pc(f));
}

/* ---- memory and strings: ranges, then the real thing
 * -------------------------------------------- */

void *lkc_memcpy(void *to, const void *from, size_t n)
{
    __tsan_read_range((void *)(uintptr_t)from, n);
    __tsan_write_range(to, n);
    return __builtin_memcpy(to, from, n);
}

void *lkc_memmove(void *to, const void *from, size_t n)
{
    __tsan_read_range((void *)(uintptr_t)from, n);
    __tsan_write_range(to, n);
    return __builtin_memmove(to, from, n);
}

void *lkc_memset(void *to, int c, size_t n)
{
    __tsan_write_range(to, n);
    return __builtin_memset(to, c, n);
}

int lkc_memcmp(const void *a, const void *b, size_t n)
{
    __tsan_read_range((void *)(uintptr_t)a, n);
    __tsan_read_range((void *)(uintptr_t)b, n);
    return __builtin_memcmp(a, b, n);
}

size_t lkc_strlen(const char *s)
{
    size_t n = __builtin_strlen(s);
    __tsan_read_range((void *)(uintptr_t)s, n + 1);
    return n;
}

int lkc_strcmp(const char *a, const char *b)
{
    (void)lkc_strlen(a);
    (void)lkc_strlen(b);
    return __builtin_strcmp(a, b);
}

char *lkc_strcpy(char *to, const char *from)
{
    return lkc_memcpy(to, from, lkc_strlen(from) + 1);
}

char *lkc_strdup(const char *s)
{
    char *copy = malloc(lkc_strlen(s) + 1);
    return copy != NULL ? lkc_strcpy(copy, s) : NULL;
}

/* ---- output: once, not in every execution
 * ------------------------------------------------------- */

int printf(const char *format, ...)
{
    va_list ap;
    if (self() != NULL)
        return 0;
    va_start(ap, format);
    int n = vprintf(format, ap);
    va_end(ap);
    return n;
}

int fprintf(FILE *out, const char *format, ...)
{
    va_list ap;
    if (self() != NULL)
        return 0;
    va_start(ap, format);
    int n = vfprintf(out, format, ap);
    va_end(ap);
    return n;
}

int puts(const char *s)
{
    return self() != NULL ? 0 : LKC_REAL(puts)(s);
}
int putchar(int c)
{
    return self() != NULL ? c : LKC_REAL(putchar)(c);
}
int fputs(const char *s, FILE *out)
{
    return self() != NULL ? 0 : LKC_REAL(fputs)(s, out);
}
int fputc(int c, FILE *out)
{
    return self() != NULL ? c : LKC_REAL(fputc)(c, out);
}
void perror(const char *s)
{
    if (self() == NULL)
        LKC_REAL(perror)(s);
}
