/* stop.c - the end of the search from outside: its time is up, or SIGINT.  Both hold in the middle
 * of an execution too, which may have no end: a thread that is about to add an event asks, and one
 * that goes round without any is taken off its stack by the signal. */
#include <signal.h>
#include <string.h>
#include <time.h>

#include "report.h"

/* The clock's signal comes again and again: the first may have met the checker at work. */
#define AGAIN_NS 50000000
#define CLOCK_SIGNAL (SIGRTMAX - 3)

struct stop {
    volatile sig_atomic_t asked;
    struct sigaction old_int, old_clock;
    timer_t timer;
    bool timed;
};
static struct stop *stop;

static void on_stop(int number)
{
    struct fiber *f = self();
    uintptr_t here = (uintptr_t)&number;
    stop->asked = 1;
    if (f == NULL || here - f->stack_low >= f->stack_high - f->stack_low)
        return; /* not in the program: whoever it is looks */
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    if (here < lkc_hot.sp_min)
        lkc_hot.sp_min = here; /* the stack is to be wiped as far as this */
    stop_run();
}

bool stop_asked(void)
{
    return stop != NULL && stop->asked;
}

void stop_run(void)
{
    lkc->end = RUN_STOPPED;
    lkc_leave();
}

static void start_clock(uint64_t ns)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = CLOCK_SIGNAL};
    struct itimerspec when = {.it_interval.tv_nsec = AGAIN_NS};
    struct sigaction act = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    (void)sigaction(CLOCK_SIGNAL, &act, &stop->old_clock);
    if (timer_create(CLOCK_MONOTONIC, &event, &stop->timer) != 0)
        lkc_die("no timer for the bound on the time");
    when.it_value.tv_sec = (time_t)(ns / 1000000000u);
    when.it_value.tv_nsec = (long)(ns % 1000000000u);
    (void)timer_settime(stop->timer, 0, &when, NULL);
    stop->timed = true;
}

void stop_begin(uint64_t max_ns)
{
    if (stop == NULL)
        stop = lkc_alloc(sizeof *stop);
    memset(stop, 0, sizeof *stop);
    struct sigaction act = {.sa_handler = on_stop};
    (void)sigaction(SIGINT, &act, &stop->old_int);
    if (max_ns != 0)
        start_clock(max_ns);
}

void stop_end(void)
{
    (void)sigaction(SIGINT, &stop->old_int, NULL);
    if (!stop->timed)
        return;
    (void)timer_delete(stop->timer);
    (void)sigaction(CLOCK_SIGNAL, &stop->old_clock, NULL);
}
