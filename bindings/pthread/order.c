/* order.c - $LK_PTHREAD_ORDER: the program's locks as nodes of the order graph.
 *
 * The graph knows locks by number.  A pthread object keeps its number where glibc keeps what we do
 * not use; each acquisition is told to the graph as that of a mutex with this number that nobody
 * else sees. */
#include "order.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "latchkey/order.h"

enum { SITES = 1 << 16, TEXT = 256, CHUNK = 1 << 20 };

bool lkp_order_on;
static const char *file; /* NULL: no file is asked for */
static pid_t watched_process;

/* The texts of call sites, by address; what is in stays.  Under sites_lock. */
static lk_mutex sites_lock;
static struct {
    const void *site;
    const char *text;
} sites[SITES];

/* Naming something may call what locks (malloc, the loader): that is not the program's order. */
static __thread bool naming __attribute__((tls_model("initial-exec")));

/* Never given back, and without malloc(), which may be the program's own. */
static const char *keep(const char *text)
{
    static char *chunk;
    static size_t left;
    size_t size = strlen(text) + 1;
    if (size > left) {
        void *p = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return "?";
        chunk = p;
        left = CHUNK;
    }
    char *copy = memcpy(chunk, text, size);
    chunk += size;
    left -= size;
    return copy;
}

/* FILE+OFFSET (for addr2line) and, if it has one, the symbol; an address in no file as a number. */
static void name_place(char *text, const void *place)
{
    Dl_info info;
    if (dladdr(place, &info) == 0 || info.dli_fname == NULL) {
        (void)snprintf(text, TEXT, "%p", place);
        return;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    int n = snprintf(text, TEXT, "%s+0x%" PRIxPTR, slash != NULL ? slash + 1 : info.dli_fname,
                     (uintptr_t)place - (uintptr_t)info.dli_fbase);
    if (info.dli_sname != NULL && n > 0 && n < TEXT)
        (void)snprintf(text + n, TEXT - (size_t)n, " (%s)", info.dli_sname);
}

static const char *text_of(const void *site)
{
    size_t i = (uintptr_t)site * 2654435761u % SITES;
    const char *text = NULL;
    lk_mutex_lock(&sites_lock);
    for (size_t tries = 0; tries < SITES && text == NULL; tries++, i = (i + 1) % SITES) {
        if (sites[i].site == site) {
            text = sites[i].text;
        } else if (sites[i].site == NULL) {
            char name[TEXT];
            name_place(name, site);
            text = sites[i].text = keep(name);
            sites[i].site = site;
        }
    }
    lk_mutex_unlock(&sites_lock);
    return text != NULL ? text : "?";
}

/* The object's number, given now if it has none. */
static uint32_t number_of(uint32_t *id, const void *object, const char *type)
{
    uint32_t number = __atomic_load_n(id, __ATOMIC_RELAXED);
    if (number != 0)
        return number;
    char place[TEXT], name[TEXT + 32];
    lk_order_mutex m;
    name_place(place, object);
    (void)snprintf(name, sizeof name, "%s %s", type, place);
    lk_mutex_lock(&sites_lock);
    const char *kept = keep(name);
    lk_mutex_unlock(&sites_lock);
    lk_order_mutex_init_(&m, kept, "-");
    return __atomic_compare_exchange_n(id, &number, m.id_, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED)
               ? m.id_
               : number;
}

void lkp_order_enter_slowly(uint32_t *id, const void *object, const char *type, bool waits,
                            const void *site)
{
    if (naming)
        return;
    naming = true;
    lk_order_mutex m = {.id_ = number_of(id, object, type)};
    if (waits)
        lk_order_lock_(&m, text_of(site));
    else
        (void)!lk_order_trylock_(&m, text_of(site));
    naming = false;
}

void lkp_order_leave_slowly(const uint32_t *id)
{
    lk_order_mutex m = {.id_ = __atomic_load_n(id, __ATOMIC_RELAXED)};
    if (naming || m.id_ == 0)
        return;
    lk_mutex_lock(&m.lock_);
    lk_order_unlock(&m);
}

/* What has been learned, at the end of the process. */
static void tell(void)
{
    struct lk_order_counts counts;
    if (!lkp_order_on || getpid() != watched_process)
        return;
    lk_order_count(&counts);
    (void)fprintf(stderr, "latchkey-pthread: %zu locks in %zu different stacks: %zu ring%s\n",
                  counts.locks, counts.stacks, counts.rings, counts.rings == 1 ? "" : "s");
    if (file == NULL)
        return;
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = fd < 0 ? errno : lk_order_write(fd, "json");
    if (rc != 0)
        (void)fprintf(stderr, "latchkey-pthread: %s: %s\n", file, strerror(rc));
    if (fd >= 0)
        (void)close(fd);
}

void lkp_order_begin(void)
{
    const char *value = secure_getenv("LK_PTHREAD_ORDER");
    if (value == NULL || *value == 0 || strcmp(value, "0") == 0)
        return;
    file = strcmp(value, "1") == 0 ? NULL : value;
    watched_process = getpid();
    lk_order_on(true);
    lkp_order_on = true;
    (void)atexit(tell);
}

void lkp_order_child(void)
{
    lkp_order_on = false;
}
