/* report.h - errors, and telling people about them. */
#ifndef LKC_REPORT_H
#define LKC_REPORT_H

#include "internal.h"

void report_forget(void);
void report_fill(struct lk_check_report *rep);
void report_progress(uint64_t now_ns);
/* SIGSEGV and the like in the program become errors. */
void report_catch_signals(bool on);
/* "file.c:12" of a return address, "" if unknown; lasts until report_forget(). */
const char *report_place(uint64_t pc);
/* Ask for many places at once. */
void report_learn(const uint64_t *pc, uint32_t n);
/* Where the program is loaded. */
uint64_t report_base(void);
/* A variable's name, or what else lies there. */
const char *report_address(uintptr_t addr, char *text, size_t size);
/* One event in words; a value as people write it. */
void report_event(const struct graph *g, evid id, char *text, size_t size);
const char *report_value(uint64_t v, char text[32]);
void report_graph(const struct failure *f, struct graph *g);
/* Ask for the places of all events of the graph that is now the working one. */
void report_learn_graph(const struct failure *f);
/* A self-contained page with a picture of the failing execution; false if it cannot be written. */
bool report_html(const char *path, const struct failure *f);
/* The shortest failing execution, thread by thread. */
void report_counterexample(FILE *out, const struct failure *f);

#endif
