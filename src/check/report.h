/* report.h - errors, and telling people about them. */
#ifndef LKC_REPORT_H
#define LKC_REPORT_H

#include "internal.h"

void report_forget(void);
void report_fill(struct lk_check_report *rep);
void report_progress(uint64_t now_ns);
/* SIGSEGV and the like in the program become errors; SIGINT ends the search. */
void report_catch_signals(bool on);
bool report_interrupted(void);
/* "file.c:12" of a return address, "" if unknown; lasts until report_forget(). */
const char *report_place(uint64_t pc);
/* The shortest failing execution, thread by thread. */
void report_counterexample(FILE *out, const struct failure *f);

#endif
