/* memory.c - Linux 5.14: MADV_POPULATE_WRITE. */
#include "base/memory.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

void lki_memory_populate(void *begin, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)begin & ~(page - 1);
    uintptr_t to = ((uintptr_t)begin + size + page - 1) & ~(page - 1);
    (void)madvise((void *)from, to - from, MADV_POPULATE_WRITE); /* an older kernel: EINVAL */
}
