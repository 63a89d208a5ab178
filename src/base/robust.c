/* robust.c - Linux and glibc: own entries in the list that glibc registered for the thread. */
#include "base/robust.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"

enum { PREV_OFFSET = 24, NEXT_OFFSET = 32 };
_Static_assert(NEXT_OFFSET + sizeof(void *) == LKI_ROBUST_SPAN, "the span covers both links");

/* Entries name each other's `next` link; bit 0 of such a name is glibc's mark of a PI mutex. */
struct links {
    void *prev;
    void *next;
};
_Static_assert(offsetof(struct links, next) == NEXT_OFFSET - PREV_OFFSET, "glibc's geometry");

/* Of the calling thread; set by lki_robust_supported(), which every thread passes first. */
static __thread struct robust_list_head *list;

static struct links *links_of(uint32_t *word)
{
    return (struct links *)(void *)((char *)word + PREV_OFFSET);
}

/* From the name of an entry (the address of its `next`) to its links.  glibc's list head has its
 * own `prev` in front, so the head is no special case. */
static struct links *links_named(const void *name)
{
    char *next = (char *)((uintptr_t)name & ~(uintptr_t)1);
    return (struct links *)(void *)(next - offsetof(struct links, next));
}

uint32_t lki_thread_id(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

int lki_robust_supported(void)
{
    size_t size = 0;
    struct robust_list_head *head = NULL;
    if (syscall(SYS_get_robust_list, 0, &head, &size) != 0 || head == NULL ||
        size != sizeof *head || head->futex_offset != -(long)NEXT_OFFSET)
        return ENOTSUP;
    list = head;
    return 0;
}

/* The kernel reads the list when the thread is already dead: compiler order is all that matters. */
static void compiler_barrier(void)
{
    __asm__ volatile("" ::: "memory");
}

static void set_pending(void *name)
{
    compiler_barrier();
    *(void *volatile *)&list->list_op_pending = name;
    compiler_barrier();
}

void lki_robust_announce(uint32_t *word)
{
    set_pending(&links_of(word)->next);
}

void lki_robust_enter(uint32_t *word)
{
    struct robust_list_head *head = list;
    struct links *mine = links_of(word);
    mine->next = head->list.next;
    mine->prev = &head->list;
    compiler_barrier();
    links_named(head->list.next)->prev = &mine->next;
    compiler_barrier();
    *(void *volatile *)&head->list.next = &mine->next;
    set_pending(NULL);
}

void lki_robust_forget(void)
{
    set_pending(NULL);
}

void lki_robust_leave(uint32_t *word)
{
    struct links *mine = links_of(word);
    set_pending(&mine->next);
    links_named(mine->next)->prev = mine->prev;
    compiler_barrier();
    links_named(mine->prev)->next = mine->next;
    compiler_barrier();
}

/* One page that the kernel empties in every child of fork, by whatever call it was made. */
uint32_t *lki_epoch_word;
static uint32_t epoch_without_page = 1;
static pthread_once_t epoch_once = PTHREAD_ONCE_INIT;

static void epoch_in_child(void)
{
    epoch_without_page++;
}

static void epoch_begin(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED && madvise(page, size, MADV_WIPEONFORK) == 0) {
        /* [robust.4] release, pairs with [robust.3] [robust.7]: the page is mapped. */
        lk_store_rel_pu32(&lki_epoch_word, page);
        return;
    }
    if (page != MAP_FAILED)
        (void)munmap(page, size);
    (void)pthread_atfork(NULL, NULL, epoch_in_child);
    /* [robust.6] release, pairs with [robust.3] [robust.7]: as [robust.4]. */
    lk_store_rel_pu32(&lki_epoch_word, &epoch_without_page);
}

/* The page was wiped (or never written): give this process an epoch of its own.  The count is
 * inherited, so it differs from the parent's. */
static uint32_t epoch_renew(void)
{
    static uint32_t last;
    uint32_t found = 0;
    uint32_t mine = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    if (mine == 0)
        mine = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    /* [robust.1] relaxed: threads of the child only agree on a number; it guards no other
     * memory. */
    return lk_cas_rlx_u32(lki_epoch_word, &found, mine) ? mine : found;
}

uint32_t lki_fork_epoch_slowly(void)
{
    (void)pthread_once(&epoch_once, epoch_begin);
    /* [robust.5] relaxed: as [robust.2]. */
    uint32_t epoch = lk_load_rlx_u32(lki_epoch_word);
    return epoch != 0 ? epoch : epoch_renew();
}
