/* latchkey/level.h - locks that are taken one after the other, each at a higher level than the
 * last.
 *
 *     LK_LEVEL(server, 10);                     // declares the level and the locks of it
 *     LK_LEVEL(session, 20);
 *     static lk_mutex_at_server table_lock;
 *     struct session { lk_mutex_at_session lock; ... };
 *
 *     lk_scope_level (key, server, &table_lock) {
 *         struct session *s = find(id);
 *         lk_scope_level (key, session, &s->lock) { ... }
 *     }
 *
 * Inside, `key` has the type lk_at_server, then lk_at_session: locking at a level that is not above
 * it does not compile, and a function that is to be called at a level takes a key of that type.
 * Where the compiler cannot see it, the key knows, and stops the program, naming both places.
 * Above a level, several locks at once: lk_scope_levels (key, session, list).
 * Level 0 is that of locks without one; they come before all others. */
#ifndef LATCHKEY_LEVEL_H
#define LATCHKEY_LEVEL_H

#include "latchkey/set.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A level's number: 1..LK_LEVEL_MAX.  The types: lk_at_NAME, a key that has locked at that level;
 * lk_mutex_at_NAME, lk_rwlock_at_NAME, locks that belong to it (all zero bytes: unlocked). */
#define LK_LEVEL(name, number)                                                                     \
    _Static_assert((number) >= 1 && (number) <= LK_LEVEL_MAX,                                      \
                   "latchkey: a level is a number from 1 to LK_LEVEL_MAX");                        \
    enum { lk_level_##name = (number) };                                                           \
    typedef struct lk_at_##name {                                                                  \
        struct lk_key_ *k_;                                                                        \
        __extension__ char level_[0][(number) + 1];                                                \
    } lk_at_##name;                                                                                \
    typedef struct lk_mutex_at_##name {                                                            \
        lk_mutex lock_;                                                                            \
    } lk_mutex_at_##name;                                                                          \
    typedef struct lk_rwlock_at_##name {                                                           \
        lk_rwlock lock_;                                                                           \
    } lk_rwlock_at_##name;                                                                         \
    static inline lk_at_##name lk_at_##name##_(struct lk_key_ *k)                                  \
    {                                                                                              \
        lk_at_##name at;                                                                           \
        at.k_ = k;                                                                                 \
        return at;                                                                                 \
    }                                                                                              \
    struct lk_at_##name

/* One level comes before another, or the program does not compile. */
#define LK_LEVEL_BEFORE(a, b)                                                                      \
    _Static_assert((int)lk_level_##a < (int)lk_level_##b,                                          \
                   "latchkey: level " #a " does not come before level " #b)

/* Members: the lock has the type of its level. */
#define LK_LOCK_AT(name, l)                                                                        \
    ((lk_member){(l), _Generic((l), lk_mutex_at_##name *                                           \
                               : LK_HOW_MUTEX_, lk_rwlock_at_##name *                              \
                               : LK_HOW_WRITE_) |                                                  \
                          (uint64_t)lk_level_##name << 16})
#define LK_READ_AT(name, l)                                                                        \
    ((lk_member){(l), _Generic((l), lk_rwlock_at_##name *                                          \
                               : LK_HOW_READ_) |                                                   \
                          (uint64_t)lk_level_##name << 16})

/* 0, if the key holds nothing at the level or above it; else this does not compile. */
#define LK_ABOVE_(key, name)                                                                       \
    (0 * sizeof(struct {                                                                           \
         _Static_assert(sizeof((key).level_[0]) <= lk_level_##name,                                \
                        "latchkey: level " #name " is not above what this key holds");             \
         char c;                                                                                   \
     }))

/* The key of a level as that of a higher one. */
#define LK_AS(name, key) (lk_at_##name##_((key).k_ + LK_ABOVE_(key, name)))

LK_API int lk_level_lock_(struct lk_key_ *k, unsigned level, lk_list list, const char *here);
LK_API void lk_level_unlock_(struct lk_key_ *k);
LK_API struct lk_scope_ lk_level_scope_(struct lk_key_ *k, unsigned level, lk_list list,
                                        const char *here);

#define LK_SCOPE_AT_(key, name, list)                                                              \
    LK_SCOPE_(key, lk_at_##name, lk_at_##name##_,                                                  \
              lk_level_scope_((key).k_ + LK_ABOVE_(key, name), lk_level_##name, list, LK_HERE_),   \
              LK_JOIN_(lk_scope_of_, __LINE__), LK_JOIN_(lk_once_of_, __LINE__))
#define lk_scope_level(key, name, l) LK_SCOPE_AT_(key, name, LK_SET(LK_LOCK_AT(name, l)))
#define lk_scope_level_read(key, name, l) LK_SCOPE_AT_(key, name, LK_SET(LK_READ_AT(name, l)))
/* All at once, all of them at `name` or above; inside, nothing more can be locked. */
#define lk_scope_levels(key, name, list)                                                           \
    LK_SCOPE_OF_(                                                                                  \
        key, lk_level_scope_((key).k_ + LK_ABOVE_(key, name), lk_level_##name, list, LK_HERE_))

/* Without a scope: the innermost is unlocked first.  Returns as lk_set_lock; a level that is not
 * above what is held is the stop, then EDEADLK. */
#define lk_level_lock(key, name, l)                                                                \
    lk_level_lock_((key).k_ + LK_ABOVE_(key, name), lk_level_##name, LK_SET(LK_LOCK_AT(name, l)),  \
                   LK_HERE_)
#define lk_level_unlock(key) lk_level_unlock_((key).k_)

#ifdef __cplusplus
}
#endif
#endif
