/* The counts of shared/data/litmus/README.md, exactly, under RC11 and under SC.
 * Kills: any mutant of src/check that loses, doubles or invents an execution. */
#include <stdio.h>

#include "latchkey/check.h"
#include "counts_programs.h"
#include "litmus.h"

static int passed, failed;

static void judge(const char *name, enum lk_check_model model, int rc,
                  const struct lk_check_report *rep, unsigned long complete)
{
    bool right = rc == 0 && rep->complete == complete && rep->blocked == 0 && rep->wasted == 0;
    if (!right)
        printf("FAIL %s %s: %lu complete, expected %lu; %lu blocked, result %d\n", name,
               model == LK_CHECK_SC ? "SC" : "RC11", (unsigned long)rep->complete, complete,
               (unsigned long)rep->blocked, rc);
    else if (rep->complete >= 5000)
        printf("%s: %lu executions in %.2f s, %.0f a second, %lu KiB pending, %lu wasted\n", name,
               (unsigned long)rep->complete, rep->seconds, rep->executions_per_second,
               (unsigned long)rep->peak_pending_bytes >> 10, (unsigned long)rep->wasted);
    *(right ? &passed : &failed) += 1;
}

static void expect(const char *name, const char *program, enum lk_check_model model,
                   unsigned long complete)
{
    struct litmus p;
    struct lk_check_options opt = {.model = model, .quiet = true};
    struct lk_check_report rep;
    if (!litmus_parse(&p, program)) {
        printf("FAIL %s: cannot parse\n", name);
        failed++;
        return;
    }
    int rc = lk_check_run(litmus_run, &p, &opt, &rep);
    judge(name, model, rc, &rep, complete);
}

static void expect_function(const char *name, void *(*fn)(void *), void *arg,
                            enum lk_check_model model, unsigned long complete)
{
    struct lk_check_options opt = {.model = model, .quiet = true};
    struct lk_check_report rep;
    int rc = lk_check_run(fn, arg, &opt, &rep);
    judge(name, model, rc, &rep, complete);
}

static const struct {
    const char *name, *program;
    unsigned long rc11, sc;
} table[] = {
    {"MP", "Wx1.rel Wy1.rel | Ry.acq Rx.acq", 3, 3},
    {"SB", "Wx1.rel Ry.acq | Wy1.rel Rx.acq", 4, 3},
    {"SB+scfs", "Wx1.rlx F.sc Ry.rlx | Wy1.rlx F.sc Rx.rlx", 3, 3},
    {"SB+2sc+scf", "Wx1.sc Ry.sc | Wy1.rlx F.sc Rx.rlx", 3, 3},
    {"SB+rfis", "Wx1.rel Rx.sc Ry.sc | Wy1.rel Ry.sc Rx.sc", 4, 3},
    {"LB", "Ry.acq Wx1.rel | Rx.acq Wy1.rel", 3, 3},
    {"IRIW-acq-sc", "Wx1.sc | Rx.acq Ry.sc | Ry.acq Rx.sc | Wy1.sc", 16, 15},
    {"IRIWish", "Wx1.rlx | a=Rx.rlx Wya.rel | Rx.rlx F.ar Ry.rlx | Ry.rlx F.ar Rx.rlx", 28, 27},
    {"CoRR", "Wx1.rel Wx2.rel | Rx.acq Rx.acq", 6, 6},
    {"CoRR1", "Wx1.rel | Wx2.rel | Rx.acq Rx.acq | Rx.acq", 36, 36},
    {"CoRR2", "Wx1.rel | Wx2.rel | Rx.acq Rx.acq | Rx.acq Rx.acq", 72, 72},
    {"CoRW", "Rx.acq Wx1.rel | Wx2.rel", 3, 3},
    {"CoWR", "Wx1.rel Rx.acq | Wx2.rel", 3, 3},
    {"2+2W", "Wx1.rel Wy2.rel | Wy1.rel Wx2.rel", 4, 3},
    {"RWC+syncs", "Wx1.rlx | Rx.rlx F.sc Ry.rlx | Wy1.rlx F.sc Rx.rlx", 7, 7},
    {"W+RWC", "Wx1.rlx Wz1.rel | Rz.acq F.sc Ry.rlx | Wy1.rlx F.sc Rx.rlx", 7, 7},
    {"ISA2", "Wa1.rlx Wb1.rel | Rb.acq Wc1.rel | Rc.acq Ra.rlx", 7, 7},
    {"Z6+acq", "Wa1.rlx F.sc Wb1.rlx | Rb.acq Wc1.rlx | Wc2.rlx F.sc Ra.rlx", 7, 7},
    {"Z6.U", "Wx1.sc Wy1.rel | Ay1.sc Ry.rlx | Wy3.sc Rx.sc", 22, 18},
    {"inc2w", "Ax1 | Wx4.rel | Ax2", 6, 6},
    {"wrw(2)", "a=Rx.rlx Wxa.rel | a=Rx.rlx Wxa.rel | Wx1.rel", 22, 22},
    {"wrw(3)", "a=Rx.rlx Wxa.rel | a=Rx.rlx Wxa.rel | a=Rx.rlx Wxa.rel | Wx1.rel", 300, 300},
    {"wrw(4)",
     "Wx1.rel | a=Rx.rlx Wxa.rel | a=Rx.rlx Wxa.rel | a=Rx.rlx Wxa.rel | a=Rx.rlx Wxa.rel", 6576,
     6576},
    {"ainc(7)", "Ax1 | Ax1 | Ax1 | Ax1 | Ax1 | Ax1 | Ax1", 5040, 5040},
    {"ainc(5)", "Ax1 | Ax1 | Ax1 | Ax1 | Ax1", 120, 120},
    {"readers(7)", "Wx1 | Rx | Rx | Rx | Rx | Rx | Rx | Rx", 128, 128},
};

int main(void)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        expect(table[i].name, table[i].program, LK_CHECK_RC11, table[i].rc11);
        expect(table[i].name, table[i].program, LK_CHECK_SC, table[i].sc);
    }
    expect_function("fib(5)", fib_run, NULL, LK_CHECK_RC11, 525630);
    expect_function("fib(5)", fib_run, NULL, LK_CHECK_SC, 218243);
    expect_function("lastzero(10)", lastzero_run, (void *)10, LK_CHECK_RC11, 3328);
    expect_function("lastzero(10)", lastzero_run, (void *)10, LK_CHECK_SC, 3328);
    expect_function("lastzero(15)", lastzero_run, (void *)15, LK_CHECK_RC11, 147456);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
