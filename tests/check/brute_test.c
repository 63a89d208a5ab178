/* The checker finds exactly the executions that the axioms allow, on 2,000 random small programs,
 * and on as many that also wait in loops: of these it finds those in which every loop ends.
 * Kills: every mutant of consistency.c, revisit.c, op.c, await.c and withdraw.c that changes what
 * is explored. */
#include <stdio.h>
#include <stdlib.h>

#include "brute.h"
#include "latchkey/check.h"

enum { PROGRAMS = 2000, LIMIT = 20000, WALKS = 100 };

/* Without walks the checker knows no loops: it must then find the same, by other ways. */
static bool same(const struct litmus *p, enum lk_check_model model, bool loops, uint32_t walks,
                 unsigned long expected)
{
    struct lk_check_options opt = {
        .model = model, .quiet = true, .walks = walks, .no_liveness = loops};
    struct lk_check_report rep;
    struct litmus copy = *p;
    int rc = lk_check_run(litmus_run, &copy, &opt, &rep);
    if (rc == 0 && rep.complete == expected && (loops || rep.blocked == 0) && rep.wasted == 0)
        return true;
    printf("FAIL %s, %u walks: %lu executions, brute force finds %lu: ",
           model == LK_CHECK_SC ? "SC" : "RC11", walks, (unsigned long)rep.complete, expected);
    litmus_show(p);
    return false;
}

static bool right(const struct litmus *p, bool loops, const struct brute_counts *counts)
{
    bool ok =
        same(p, LK_CHECK_RC11, loops, 0, counts->rc11) & same(p, LK_CHECK_SC, loops, 0, counts->sc);
    if (loops)
        ok &= same(p, LK_CHECK_RC11, true, WALKS, counts->rc11) &
              same(p, LK_CHECK_SC, true, WALKS, counts->sc);
    return ok;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    unsigned long executions = 0;
    litmus_seed(argc > 1 ? strtoull(argv[1], NULL, 0) : 20261122);
    while (passed + failed < 2 * PROGRAMS) {
        struct litmus p;
        struct brute_counts counts;
        bool loops = passed + failed >= PROGRAMS;
        litmus_random(&p, loops);
        if (!brute_count(&p, LIMIT, &counts) || (loops && counts.rc11 == 0))
            continue;
        executions += counts.rc11;
        *(right(&p, loops, &counts) ? &passed : &failed) += 1;
    }
    printf("%lu executions compared\n%d passed, %d failed\n", executions, passed, failed);
    return failed != 0;
}
