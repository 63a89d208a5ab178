/* FAILURES.md 6, once_cross: the initialisation of A needs B, that of B needs A, and two threads begin at
 * either end.  In the mended form the levels rise: what both need is a third one.
 * Broken: --deaths 0 finds hang
 * Mended: --deaths 0 */
#include "specimen.h"

static pthread_once_t once_a = PTHREAD_ONCE_INIT, once_b = PTHREAD_ONCE_INIT;
static pthread_once_t once_base = PTHREAD_ONCE_INIT;
static int a, b, base;

static void make_base(void)
{
    base = 1;
}

static void make_a(void);

static void make_b(void)
{
    if (BROKEN)
        pthread_once(&once_a, make_a);
    else
        pthread_once(&once_base, make_base);
    b = 1;
}

static void make_a(void)
{
    if (BROKEN)
        pthread_once(&once_b, make_b);
    else
        pthread_once(&once_base, make_base);
    a = 1;
}

static void *use_a(void *arg)
{
    pthread_once(&once_a, make_a);
    assert(a == 1);
    return arg;
}

static void *use_b(void *arg)
{
    pthread_once(&once_b, make_b);
    assert(b == 1);
    return arg;
}

int main(void)
{
    run_two(use_a, use_b);
    return 0;
}
