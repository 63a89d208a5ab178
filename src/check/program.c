/* program.c - putting the program under test back to its beginning: data, thread-local data. */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "program.h"

extern char __data_start[], _end[];

struct program {
    char *data, *end, *saved;
    const char *tls_image;
    size_t tls_file, tls_size;     /* of the program; tls_size is rounded up to its alignment */
    uintptr_t own_tp;              /* thread pointer of the thread that explores */
    uintptr_t copy_low, copy_high; /* what lies around it: thread-local data of all libraries,
                                      TCB */
    uintptr_t current_tp;
    uintptr_t error; /* where errno is, from the thread pointer on */
    bool fsgsbase;
    char *loaded, *own; /* swapping: whose data is in place; that of the thread that explores */
};
static struct program *prog;

static uintptr_t thread_pointer(void)
{
    uintptr_t tp;
    __asm__("mov %%fs:0, %0" : "=r"(tp));
    return tp;
}

#define FSGSBASE 2ul /* the processor and the kernel let a program do it itself */

/* Not by syscall(), which is the program's and a trap. */
static void set_thread_pointer(uintptr_t tp)
{
    long rc;
    if (prog->fsgsbase) {
        __asm__ volatile("wrfsbase %0" : : "r"(tp) : "memory");
        return;
    }
    __asm__ volatile("syscall"
                     : "=a"(rc)
                     : "0"((long)SYS_arch_prctl), "D"((long)ARCH_SET_FS), "S"(tp)
                     : "rcx", "r11", "memory");
}

static int find_tls(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type != PT_TLS || h->p_memsz == 0)
            continue;
        size_t align = h->p_align != 0 ? h->p_align : 1;
        prog->tls_image = (const char *)(info->dlpi_addr + h->p_vaddr);
        prog->tls_file = h->p_filesz;
        prog->tls_size = (h->p_memsz + align - 1) / align * align;
    }
    return 1; /* the program itself comes first; the libraries' data is not ours to restore */
}

/* The mapping that holds the thread pointer bounds what may be copied. */
static void find_tcb(void)
{
    unsigned long low, high;
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    prog->copy_low = prog->own_tp - prog->tls_size;
    prog->copy_high = prog->own_tp + 2304;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        /* NOLINTNEXTLINE(cert-err34-c): the kernel's own text */
        if (sscanf(line, "%lx-%lx", &low, &high) == 2 && prog->own_tp - low < high - low) {
            uintptr_t far = prog->own_tp - prog->tls_size - 8192;
            prog->copy_low = far > low ? far : low;
            uintptr_t above = prog->own_tp + 4096;
            prog->copy_high = above < high ? above : high;
        }
    if (maps != NULL)
        (void)fclose(maps);
}

void program_remember(void)
{
    if (prog == NULL) {
        prog = lkc_alloc(sizeof *prog);
        memset(prog, 0, sizeof *prog);
        prog->fsgsbase = (getauxval(AT_HWCAP2) & FSGSBASE) != 0;
        (void)dl_iterate_phdr(find_tls, NULL);
        prog->own_tp = prog->current_tp = thread_pointer();
        prog->error = (uintptr_t)&errno - prog->own_tp;
        if (prog->tls_size != 0) {
            find_tcb();
            prog->own = prog->loaded = lkc_alloc(prog->tls_size);
        }
    }
    prog->data = __data_start;
    prog->end = _end;
    /* cppcheck-suppress comparePointers ; the linker's two ends of one section */
    size_t size = (size_t)(prog->end - prog->data);
    prog->saved = lkc_alloc(size);
    memcpy(prog->saved, prog->data, size);
}

void program_restore(void)
{
    struct hot hot = lkc_hot;
    memcpy(prog->data, prog->saved, (size_t)(prog->end - prog->data));
    lkc_hot = hot;
}

void program_forget(void)
{
    program_restore();
    lkc_free(prog->saved, (size_t)(prog->end - prog->data));
    prog->saved = NULL;
}

void program_data(uintptr_t *low, uintptr_t *high)
{
    *low = (uintptr_t)prog->data;
    *high = (uintptr_t)prog->end;
}

/* Two ways to give each thread its own thread-local data.  Swapping: all run with one thread
 * pointer, and the data is copied in and out.  That is much cheaper where the kernel must be asked
 * to change the thread pointer, but the same address is then another variable in each thread: so a
 * program that lets such an address out of the thread gets a thread pointer for each instead. */
static bool swapping(void)
{
    return !lkc->tls_apart;
}

/* A copy of everything around the thread pointer, so that the C library finds what it needs. */
static void *new_block(void)
{
    size_t size = prog->copy_high - prog->copy_low;
    char *block = mmap(NULL, size + 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        lkc_die("out of memory");
    uintptr_t tp = (uintptr_t)block + (prog->own_tp - prog->copy_low);
    tp = (tp + 63) & ~(uintptr_t)63;
    memcpy((char *)tp - (prog->own_tp - prog->copy_low), (const void *)prog->copy_low, size);
    memcpy((char *)tp, &tp, sizeof tp);
    memcpy((char *)tp + 16, &tp, sizeof tp);
    return (void *)tp;
}

static void swap_in(char *data)
{
    char *place = (char *)prog->own_tp - prog->tls_size;
    if (data == prog->loaded)
        return;
    memcpy(prog->loaded, place, prog->tls_size);
    memcpy(place, data, prog->tls_size);
    prog->loaded = data;
}

void program_use_tls(void *tls)
{
    if (prog->tls_size == 0)
        return;
    if (swapping()) {
        swap_in(tls != NULL ? tls : prog->own);
        return;
    }
    uintptr_t tp = tls != NULL ? (uintptr_t)tls : prog->own_tp;
    if (tp == prog->current_tp)
        return;
    prog->current_tp = tp;
    set_thread_pointer(tp);
}

/* errno counts as one of the program's: the C library's, but each thread has its own. */
bool program_in_tls(const struct fiber *f, uintptr_t addr)
{
    uintptr_t end = swapping() || prog->tls_size == 0 ? prog->own_tp : (uintptr_t)f->tls;
    return end - addr - 1 < prog->tls_size || addr - end - prog->error < sizeof errno;
}

void program_begin_search(void)
{
    lkc->tls_apart = prog->fsgsbase;
}

void program_tls_escapes(uint64_t value)
{
    if (prog->tls_size == 0 || !swapping() || prog->own_tp - value - 1 >= prog->tls_size)
        return;
    lkc->tls_apart = lkc->upgrade = true;
    lkc->upgrade_mode = 0;
    lkc->end = RUN_UPGRADE;
    lkc_leave();
}

void program_thread_start(struct fiber *f)
{
    if (prog->tls_size == 0)
        return;
    if (f->tls == NULL || f->tls_apart != lkc->tls_apart) {
        f->tls_apart = lkc->tls_apart;
        f->tls = swapping() ? lkc_alloc(prog->tls_size) : new_block();
    }
    char *low = swapping() ? f->tls : (char *)f->tls - prog->tls_size;
    memcpy(low, prog->tls_image, prog->tls_file);
    memset(low + prog->tls_file, 0, prog->tls_size - prog->tls_file);
}

uintptr_t program_tls(const struct fiber *f, size_t *size)
{
    *size = prog->tls_size & ~(size_t)7;
    if (swapping())
        return f->tls == prog->loaded ? prog->own_tp - prog->tls_size : (uintptr_t)f->tls;
    return (uintptr_t)f->tls - prog->tls_size;
}
