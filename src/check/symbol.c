/* symbol.c - names for addresses: variables of the program, stacks, heap blocks. */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

static int base_of(struct dl_phdr_info *info, size_t size, void *base)
{
    (void)size;
    *(uint64_t *)base = info->dlpi_addr;
    return 1;
}

uint64_t report_base(void)
{
    uint64_t base = 0;
    (void)dl_iterate_phdr(base_of, &base);
    return base;
}

/* The program's own file, mapped once; NULL = cannot be read. */
static const char *image(void)
{
    static const char *file;
    struct stat st;
    if (file != NULL)
        return file;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return NULL;
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (p != MAP_FAILED)
        file = p;
    return file;
}

static bool find_variable(uint64_t addr, char *text, size_t size)
{
    const char *file = image();
    if (file == NULL)
        return false;
    const Elf64_Ehdr *h = (const Elf64_Ehdr *)file;
    const Elf64_Shdr *sec = (const Elf64_Shdr *)(file + h->e_shoff);
    for (unsigned i = 0; i < h->e_shnum; i++) {
        if (sec[i].sh_type != SHT_SYMTAB)
            continue;
        const Elf64_Sym *sym = (const Elf64_Sym *)(file + sec[i].sh_offset);
        const char *names = file + sec[sec[i].sh_link].sh_offset;
        for (size_t k = 0; k < sec[i].sh_size / sizeof *sym; k++) {
            if (ELF64_ST_TYPE(sym[k].st_info) != STT_OBJECT ||
                addr - sym[k].st_value >= sym[k].st_size)
                continue;
            uint64_t at = addr - sym[k].st_value;
            if (at == 0)
                (void)snprintf(text, size, "%s", names + sym[k].st_name);
            else
                (void)snprintf(text, size, "%s+%lu", names + sym[k].st_name, (unsigned long)at);
            return true;
        }
    }
    return false;
}

/* A location of the checker's own. */
static void name_shadow(uintptr_t addr, char *text, size_t size)
{
    char of[128];
    if (addr >= SHADOW * 4)
        (void)snprintf(text, size, "sleepers(%s)",
                       report_address((addr - SHADOW * 4) / 2, of, sizeof of));
    else if (addr >= SHADOW * 2)
        (void)snprintf(text, size, "wake(T%u.%u)", ev_tid((evid)((addr - SHADOW * 2) / 8)),
                       ev_pos((evid)((addr - SHADOW * 2) / 8)));
    else
        (void)snprintf(text, size, "death(T%lu)", (unsigned long)(addr - SHADOW) / 8);
}

const char *report_address(uintptr_t addr, char *text, size_t size)
{
    uint32_t tid;
    if (addr >= SHADOW)
        name_shadow(addr, text, size);
    else if (find_variable(addr - report_base(), text, size))
        return text;
    else if (run_on_stack(addr, &tid))
        (void)snprintf(text, size, "stack of T%u, %#lx", tid, (unsigned long)addr & 0xffff);
    else if (!heap_name(addr, text, size))
        (void)snprintf(text, size, "%#lx", (unsigned long)addr);
    return text;
}
