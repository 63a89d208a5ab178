/* program.h - the program under test as a thing that can be put back to its beginning. */
#ifndef LKC_PROGRAM_H
#define LKC_PROGRAM_H

#include "internal.h"

/* Remember the program's data as it is now / make it so again / the data's bounds. */
void program_remember(void);
void program_restore(void);
void program_forget(void);
void program_data(uintptr_t *low, uintptr_t *high);

/* From here on the thread-local data is a fiber's; NULL = our own. */
void program_use_tls(void *tls);
/* Before each search: how thread-local data is told apart. */
void program_begin_search(void);
/* A thread hands out this value: an address of thread-local data? */
void program_tls_escapes(uint64_t value);
bool program_in_tls(const struct fiber *f, uintptr_t addr);
/* Where the thread's thread-local data lies now. */
uintptr_t program_tls(const struct fiber *f, size_t *size);
/* A thread begins: its thread-local data as the linker left it. */
void program_thread_start(struct fiber *f);

#endif
