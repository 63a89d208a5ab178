/* presence.c - tokens: what the slots of a segment say.  Attaching is in attach.c. */
#include "life/presence.h"

#include <limits.h>

#include "base/atomic.h"
#include "base/futex.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the robust word is a token's low half");

enum { WATCH_TRIES = 100 };

/* The tokens are the last words of each page; see LKI_ROBUST_SPAN. */
static uint64_t *token_at(const struct lki_presence *p, uint32_t slot)
{
    size_t page = slot / LKI_TOKENS_PER_PAGE;
    size_t place = LKI_TOKENS_PER_PAGE - slot % LKI_TOKENS_PER_PAGE;
    return (uint64_t *)(void *)(p->pages + (page + 1) * p->page_bytes - place * sizeof(uint64_t));
}

size_t lki_presence_bytes(uint32_t threads, size_t page_bytes)
{
    return (threads + LKI_TOKENS_PER_PAGE - 1) / LKI_TOKENS_PER_PAGE * page_bytes;
}

const uint64_t *lki_slot_record(const struct lki_presence *p, uint32_t slot)
{
    size_t page = slot / LKI_TOKENS_PER_PAGE;
    size_t bytes = LKI_RECORD_WORDS * sizeof(uint64_t);
    return (const uint64_t *)(void *)(p->pages + page * p->page_bytes +
                                      slot % LKI_TOKENS_PER_PAGE * bytes);
}

uint64_t lki_token_read(const struct lki_presence *p, uint32_t slot)
{
    /* [presence.1] acquire, pairs with [attach.1] and with the kernel's mark at a death: what the
     * dead thread wrote is visible to whoever finds it dead. */
    return lk_load_acq_u64(token_at(p, slot));
}

bool lki_token_claim(const struct lki_presence *p, uint32_t slot, uint64_t found, uint64_t live)
{
    /* [attach.1] acq_rel, pairs with [presence.1] [attach.2]: a token seen LIVE is this
     * attachment's, and the claimer sees what the slot's last thread wrote to its record. */
    return lk_cas_acqrel_u64(token_at(p, slot), &found, live);
}

enum lki_slot_state lki_slot_state(const struct lki_presence *p, uint32_t slot)
{
    uint32_t word = (uint32_t)lki_token_read(p, slot);
    if (word & LKI_WORD_DIED)
        return LKI_SLOT_DEAD;
    return word == 0 ? LKI_SLOT_VACANT : LKI_SLOT_LIVE;
}

/* Does the token stand for the holder, alive? */
static bool names(uint64_t token, uint32_t holder)
{
    uint32_t word = (uint32_t)token;
    uint32_t generation = (uint32_t)(token >> 32);
    return word != 0 && (word & LKI_WORD_DIED) == 0 &&
           (generation << 10 & LKI_HOLDER_ANY) == (holder & LKI_HOLDER_ANY & ~LKI_HOLDER_SLOT);
}

uint32_t lki_slot_holder(const struct lki_presence *p, uint32_t slot)
{
    uint64_t token = lki_token_read(p, slot);
    uint32_t word = (uint32_t)token;
    if (word == 0 || (word & LKI_WORD_DIED) != 0)
        return 0;
    return ((uint32_t)(token >> 32) << 10 & LKI_HOLDER_ANY) | (slot + 1);
}

static bool slot_of(const struct lki_presence *p, uint32_t holder, uint32_t *slot)
{
    uint32_t number = holder & LKI_HOLDER_SLOT;
    if (number == 0 || number > p->threads)
        return false;
    *slot = number - 1;
    return true;
}

bool lki_holder_alive(const struct lki_presence *p, uint32_t holder)
{
    uint32_t slot;
    return slot_of(p, holder, &slot) && names(lki_token_read(p, slot), holder);
}

bool lki_holder_watch(const struct lki_presence *p, uint32_t holder, const uint32_t **word,
                      uint32_t *value)
{
    uint32_t slot;
    if (!slot_of(p, holder, &slot))
        return false;
    uint64_t *token = token_at(p, slot);
    for (int i = 0; i < WATCH_TRIES; i++) {
        uint64_t seen = lki_token_read(p, slot);
        if (!names(seen, holder))
            return false;
        *word = (const uint32_t *)(const void *)token;
        *value = (uint32_t)seen | LKI_WORD_WAITERS;
        /* [presence.2] relaxed: only the kernel, which reads it under its own lock, must see the
         * bit before it looks for sleepers; the sleep that follows compares the whole word. */
        if ((uint32_t)seen == *value || lk_cas_rlx_u64(token, &seen, seen | LKI_WORD_WAITERS))
            return true;
    }
    return false; /* others keep changing it: look again at everything */
}

void lki_holder_mourn(const struct lki_presence *p, uint32_t holder)
{
    uint32_t slot;
    if (!p->writable || !slot_of(p, holder, &slot))
        return;
    uint64_t *token = token_at(p, slot);
    uint64_t seen = lki_token_read(p, slot);
    if ((seen & LKI_WORD_DIED) == 0 || (seen & LKI_WORD_WAITERS) == 0)
        return;
    (void)lki_futex_wake((const uint32_t *)(const void *)token, INT_MAX);
    /* [presence.3] relaxed: clearing the bit only saves later comers the wake above. */
    (void)lk_cas_rlx_u64(token, &seen, seen & ~(uint64_t)LKI_WORD_WAITERS);
}
