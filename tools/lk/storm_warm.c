/* storm_warm.c - map a new worker's pages at once.
 *
 * A forked process finds the page tables of everything shared empty and faults each page in when it
 * first touches it.  A worker that lives for 20 ms would spend most of them so (on virtual machines a
 * fault costs 15 to 60 us, more than most operations).  One madvise() maps a range for a fraction of
 * that; where the kernel has no MADV_POPULATE (before Linux 5.14) nothing is lost but speed. */
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "storm.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

bool storm_find_map(int fd, struct storm_range *out)
{
    struct stat file;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    bool found = false;
    if (!maps)
        return false;
    while (fstat(fd, &file) == 0 && !found && fgets(line, sizeof line, maps)) {
        uintptr_t from, to;
        unsigned major_number, minor_number;
        uint64_t inode;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %x:%x %" SCNu64, &from, &to,
                   &major_number, &minor_number, &inode) != 5)
            continue;
        found = inode == file.st_ino && makedev(major_number, minor_number) == file.st_dev;
        if (found)
            *out = (struct storm_range){from, to - from};
    }
    (void)fclose(maps);
    return found;
}

void storm_warm_range(const struct storm_range *range)
{
    if (range->size > 0 && range->size <= STORM_WARM_MAX)
        (void)madvise((void *)range->begin, range->size, MADV_POPULATE_WRITE); /* or as it is */
}

/* One loaded object: its code and its data.  Of the libraries only libc; the rest is not called. */
static int warm_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    if (info->dlpi_name[0] != '\0' && !strstr(info->dlpi_name, "/libc.so"))
        return 0;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD)
            continue;
        uintptr_t from = (info->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t to = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        (void)madvise((void *)from, (to - from + page - 1) & ~(page - 1),
                      segment->p_flags & PF_W ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
    }
    return 0;
}

void storm_warm_program(void)
{
    (void)dl_iterate_phdr(warm_object, NULL);
}
