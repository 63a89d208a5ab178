/* storm_warm.c - map a new worker's pages at once.
 *
 * A forked process finds the page tables of everything shared empty and faults each page in when it
 * first touches it.  A worker that lives for 20 ms would spend most of them so (on virtual
 * machines a fault costs 15 to 60 us, more than most operations).  One madvise() maps a range for
 * a fraction of that; where the kernel has no MADV_POPULATE (before Linux 5.14) nothing is lost
 * but speed. */
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
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

/* A line of /proc/self/maps. */
struct mapped {
    uintptr_t from, to;
    dev_t device;
    ino_t inode;
};

/* A number in hexadecimal (or decimal) and the character behind it. */
static bool take_number(char **at, int base, char behind, uint64_t *n)
{
    char *end;
    *n = strtoull(*at, &end, base);
    bool good = end != *at && *end == behind;
    *at = end + good;
    return good;
}

/* "from-to flags offset major:minor inode ..." */
static bool parse_map(char *line, struct mapped *m)
{
    uint64_t from, to, high, low, offset, inode;
    char *at = line;
    if (!take_number(&at, 16, '-', &from) || !take_number(&at, 16, ' ', &to))
        return false;
    at += strcspn(at, " ");
    if (*at++ == '\0' || !take_number(&at, 16, ' ', &offset) || !take_number(&at, 16, ':', &high) ||
        !take_number(&at, 16, ' ', &low) || !take_number(&at, 10, ' ', &inode))
        return false;
    *m = (struct mapped){from, to, makedev((unsigned)high, (unsigned)low), inode};
    return true;
}

bool storm_find_map(int fd, struct storm_range *out)
{
    struct stat file;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    bool found = false;
    if (!maps)
        return false;
    while (fstat(fd, &file) == 0 && !found && fgets(line, sizeof line, maps)) {
        struct mapped m;
        found = parse_map(line, &m) && m.inode == file.st_ino && m.device == file.st_dev;
        if (found)
            *out = (struct storm_range){m.from, m.to - m.from};
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
