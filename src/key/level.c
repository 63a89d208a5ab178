/* level.c - locking above what is held. */
#include "latchkey/level.h"

#include "key/key.h"

int lk_level_lock_(struct lk_key_ *k, unsigned level, lk_list list, const char *here)
{
    if (!lki_key_is_here(k))
        return lki_key_misused(k, here);
    lki_key_account(k);
    if (k->depth_ > 0 && level <= k->level_)
        return lki_key_stop("locks at a level that is not above what it holds", here,
                            lki_hold_top(k)->here_);
    for (uint32_t i = 0; i < list.n_; i++)
        if (lki_member_level(&list.member_[i]) < level)
            return lki_key_stop("a lock of a lower level than was said", here, NULL);
    return lki_hold_lock(k, &list, NULL, false, here);
}

void lk_level_unlock_(struct lk_key_ *k)
{
    if (!lki_key_is_here(k) || k->depth_ == 0)
        (void)lki_key_stop("unlocks with a key that holds nothing, or that is another thread's",
                           "lk_level_unlock", k != NULL ? k->taken_at_ : NULL);
    else
        lki_hold_unlock(k, false);
}

struct lk_scope_ lk_level_scope_(struct lk_key_ *k, unsigned level, lk_list list, const char *here)
{
    int rc = lk_level_lock_(k, level, list, here);
    if (rc != 0 && rc != EOWNERDEAD && rc != EDEADLK)
        (void)lki_key_stop(lk_strerror(rc), here, NULL);
    return (struct lk_scope_){rc == 0 || rc == EOWNERDEAD ? k : NULL};
}
