/* attach.c - a thread's life in the segments it uses: attach, detach, exit, fork, unmapping. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <fcntl.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "latchkey/err.h"
#include "life/presence.h"

__thread struct lki_self *lki_mine;
__thread struct lki_quick lki_quick;
uint32_t lki_unmaps;

/* After a refusal, lki_attach_try() leaves it at that for so many calls. */
enum { TRY_PAUSE = 1024 };
static __thread const struct lki_presence *refused;
static __thread unsigned refused_calls;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static int exit_key_rc;

/* All presences of this process, for lki_presence_of(), and the right to claim slots; guarded by
 * `registry_lock`, which a child of fork finds free because fork takes it. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lki_presence **registry;
static size_t registry_count, registry_capacity;

static void registry_take(void)
{
    (void)pthread_mutex_lock(&registry_lock);
}

static void registry_give(void)
{
    (void)pthread_mutex_unlock(&registry_lock);
}

static void thread_ends(void *unused);

static void begin(void)
{
    exit_key_rc = pthread_key_create(&exit_key, thread_ends);
    (void)pthread_atfork(registry_take, registry_give, registry_give);
}

static int registry_add(struct lki_presence *p)
{
    int rc = 0;
    registry_take();
    if (registry_count == registry_capacity) {
        size_t capacity = registry_capacity == 0 ? 8 : registry_capacity * 2;
        struct lki_presence **grown = realloc(registry, capacity * sizeof(struct lki_presence *));
        if (grown != NULL) {
            registry = grown;
            registry_capacity = capacity;
        } else {
            rc = ENOMEM;
        }
    }
    if (rc == 0)
        registry[registry_count++] = p;
    registry_give();
    return rc;
}

int lki_presence_new(struct lki_presence **out, char *pages, uint64_t offset, uint32_t threads,
                     size_t page_bytes, int fd, bool writable)
{
    (void)pthread_once(&once, begin);
    struct lki_presence *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ENOMEM;
    *p = (struct lki_presence){.pages = pages,
                               .offset = offset,
                               .page_bytes = page_bytes,
                               .threads = threads,
                               .writable = writable,
                               .references = 1};
    int rc = 0;
    p->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (p->fd < 0)
        rc = errno;
    if (rc == 0) {
        rc = registry_add(p);
        if (rc == 0) {
            *out = p;
            return 0;
        }
        (void)close(p->fd);
    }
    free(p);
    return rc;
}

void lki_presence_unmapped(struct lki_presence *p)
{
    registry_take();
    for (size_t i = 0; i < registry_count; i++) {
        if (registry[i] == p) {
            registry[i] = registry[--registry_count];
            break;
        }
    }
    p->pages = NULL;
    p->begin = p->end = NULL;
    p->sweep = NULL;
    /* [attach.4] relaxed: other threads may not use what is being unmapped; one that comes across
     * a later mapping at its place was told of that by some order of its own. */
    uint32_t unmaps = lk_load_rlx_u32(&lki_unmaps);
    /* [attach.5] relaxed: as [attach.4]; registry_lock is held. */
    lk_store_rlx_u32(&lki_unmaps, unmaps + 1);
    registry_give();
}

void lki_presence_put(struct lki_presence *p)
{
    registry_take();
    uint32_t left = --p->references;
    if (left == 0)
        (void)close(p->fd);
    registry_give();
    if (left == 0)
        free(p);
}

void lki_presence_close(int fd)
{
    registry_take();
    (void)close(fd);
    registry_give();
}

struct lki_presence *lki_presence_of(const void *address)
{
    const char *a = address;
    struct lki_presence *found = NULL;
    if (lki_mine != NULL && lki_mine->presence->begin <= a && a < lki_mine->presence->end)
        return lki_mine->presence;
    registry_take();
    for (size_t i = 0; i < registry_count && found == NULL; i++) {
        if (registry[i]->begin <= a && a < registry[i]->end)
            found = registry[i];
    }
    registry_give();
    return found;
}

/* The token's page and a private one behind it. */
static void *map_pair(const struct lki_presence *p, uint32_t slot)
{
    size_t page = p->page_bytes;
    uint64_t offset = p->offset + slot / LKI_TOKENS_PER_PAGE * (uint64_t)page;
    char *pair = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pair == MAP_FAILED)
        return NULL;
    if (mmap(pair, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, p->fd, (off_t)offset) !=
        MAP_FAILED)
        return pair;
    (void)munmap(pair, 2 * page);
    return NULL;
}

static void unmap_pair(const struct lki_presence *p, void *pair)
{
    (void)munmap(pair, 2 * p->page_bytes);
}

/* The robust word of a token in the thread's own mapping. */
static uint32_t *robust_word(struct lki_self *self)
{
    return (uint32_t *)(void *)self->token;
}

static void place_self(struct lki_self *self, uint32_t slot, void *pair)
{
    const struct lki_presence *p = self->presence;
    size_t back = LKI_TOKENS_PER_PAGE - slot % LKI_TOKENS_PER_PAGE;
    char *records = pair;
    self->slot = slot;
    self->pair = pair;
    self->token = (uint64_t *)(void *)(records + p->page_bytes - back * sizeof(uint64_t));
    self->record =
        (uint64_t *)(void *)records + (size_t)(slot % LKI_TOKENS_PER_PAGE) * LKI_RECORD_WORDS;
    self->holds = lki_slot_holds(p, slot); /* where others look too: tools see one address */
}

/* The right to claim a slot: a record lock on a byte of the file, which the kernel takes back from
 * the dead.  Without it a thread that announced a token, lost it to one of the same id in another
 * pid namespace and was killed there would have the kernel mark the live one.  Kept for a few
 * instructions; a slot that somebody stopped keeps so is passed over. */
static bool claim_right(const struct lki_presence *p, uint32_t slot, short type)
{
    struct flock right = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)(p->offset + slot), .l_len = 1};
    return fcntl(p->fd, F_SETLK, &right) == 0 || (errno != EAGAIN && errno != EACCES);
}

/* Try to make `slot` this thread's.  0, EAGAIN (it is another's), ENOMEM. */
static int claim(struct lki_self *self, uint32_t slot, bool *was_dead)
{
    struct lki_presence *p = self->presence;
    uint64_t found = lki_token_read(p, slot);
    uint32_t word = (uint32_t)found;
    if (word != 0 && (word & LKI_WORD_DIED) == 0)
        return EAGAIN;
    void *pair = map_pair(p, slot);
    if (pair == NULL)
        return ENOMEM;
    place_self(self, slot, pair);
    /* Whoever left the slot may have been killed before its wake, and once the word is ours the
     * kernel wakes nobody for it. */
    (void)lki_futex_wake(robust_word(self), INT_MAX);
    uint32_t generation = (uint32_t)(found >> 32) + 1;
    lki_robust_announce(robust_word(self));
    if (!lki_token_claim(p, slot, found, (uint64_t)generation << 32 | lki_thread_id())) {
        lki_robust_forget();
        unmap_pair(p, pair);
        return EAGAIN;
    }
    lki_robust_enter(robust_word(self));
    self->holder = (generation << 10 & LKI_HOLDER_ANY) | (slot + 1);
    *was_dead = word != 0;
    return 0;
}

/* Start at a slot that depends on the thread, so that generations rise evenly. */
static int claim_any(struct lki_self *self, bool *was_dead)
{
    const struct lki_presence *p = self->presence;
    uint32_t start = lki_thread_id() * 2654435761u % p->threads;
    int rc = EAGAIN;
    for (uint32_t i = 0; i < p->threads && rc == EAGAIN; i++) {
        uint32_t slot = (start + i) % p->threads;
        if (lki_slot_state(p, slot) == LKI_SLOT_LIVE)
            continue;
        registry_take(); /* a close in this process would give the right back */
        if (claim_right(p, slot, F_WRLCK)) {
            rc = claim(self, slot, was_dead);
            (void)claim_right(p, slot, F_UNLCK);
        }
        registry_give();
    }
    return rc == EAGAIN ? LK_ETHREADS : rc;
}

/* Free an attachment whose token is no longer this thread's. */
static void forget_self(struct lki_self *self)
{
    if (lki_quick.self == self)
        lki_quick = (struct lki_quick){0};
    unmap_pair(self->presence, self->pair);
    lki_presence_put(self->presence);
    free(self);
}

static void detach_self(struct lki_self *self)
{
    if (self->epoch == lki_fork_epoch()) {
        uint32_t *word = robust_word(self);
        /* [attach.3] relaxed: the generation, which only this thread's claim changed. */
        uint64_t vacant = lk_load_rlx_u64(self->token) & ~(uint64_t)UINT32_MAX;
        lki_robust_leave(word);
        /* [attach.2] release, pairs with [attach.1]: the slot's next thread sees this one's record.
         * LIVE -> VACANT; a sleeper that still watches is woken to look again. */
        lk_store_rel_u64(self->token, vacant);
        /* Still announced: whoever is killed before the wake, the kernel wakes for it. */
        (void)lki_futex_wake(word, INT_MAX);
        lki_robust_forget();
    }
    forget_self(self);
}

static void thread_ends(void *unused)
{
    (void)unused;
    while (lki_mine != NULL) {
        struct lki_self *self = lki_mine;
        lki_mine = self->next;
        detach_self(self);
    }
}

/* Find the attachment in the thread's list and bring it to the front. */
static struct lki_self *find_self(const struct lki_presence *p)
{
    for (struct lki_self **link = &lki_mine; *link != NULL; link = &(*link)->next) {
        struct lki_self *self = *link;
        if (self->presence != p)
            continue;
        *link = self->next;
        if (self->epoch != lki_fork_epoch()) {
            forget_self(self);
            return NULL;
        }
        self->next = lki_mine;
        lki_mine = self;
        return self;
    }
    return NULL;
}

static int attach_new(struct lki_presence *p, struct lki_self **out)
{
    if (!p->writable)
        return EROFS;
    if (lki_robust_supported() != 0)
        return ENOTSUP;
    if (exit_key_rc != 0 || pthread_setspecific(exit_key, &lki_mine) != 0)
        return ENOMEM;
    struct lki_self *self = calloc(1, sizeof *self);
    if (self == NULL)
        return ENOMEM;
    self->presence = p;
    self->epoch = lki_fork_epoch();
    bool was_dead = false;
    int rc = claim_any(self, &was_dead);
    if (rc != 0) {
        free(self);
        return rc;
    }
    registry_take();
    p->references++;
    registry_give();
    self->next = lki_mine;
    lki_mine = self;
    lki_holds_clear(self);
    if (was_dead && p->sweep != NULL)
        p->sweep(p->owner, self);
    *out = self;
    return 0;
}

int lki_attach(struct lki_presence *p, struct lki_self **out)
{
    struct lki_self *self = find_self(p);
    if (self == NULL)
        return attach_new(p, out);
    *out = self;
    return 0;
}

struct lki_self *lki_attach_slowly(struct lki_presence *p)
{
    struct lki_self *self = NULL;
    if (refused == p && refused_calls++ < TRY_PAUSE)
        return NULL;
    if (lki_attach(p, &self) == 0)
        return self;
    refused = p;
    refused_calls = 0;
    return NULL;
}

void lki_detach(struct lki_presence *p)
{
    struct lki_self *self = find_self(p);
    if (self == NULL)
        return;
    lki_mine = self->next;
    detach_self(self);
}
