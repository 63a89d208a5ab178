/* hooks.h - handlers behind the traps; each is called on the checker's stack. */
#ifndef LKC_HOOKS_H
#define LKC_HOOKS_H

#include "internal.h"

/* First thing in every handler: the running thread, NULL outside an exploration.  Finishes what the
 * thread's last plain write began. */
struct fiber *hook_enter(void);

/* An access of the running thread, its memory checked; a read with an operation on it. */
struct access hook_access(const struct fiber *f, const volatile void *p, unsigned size, int order);
uint64_t hook_rmw(const struct fiber *f, const volatile void *p, unsigned size, int order,
                  enum ev_op op, uint64_t operand);

void lkc_k_begin(void);
void lkc_k_exit(void *result);
void lkc_k_fence(int order);
void lkc_k_signal_fence(int order);
void lkc_k_read_range(void *p, size_t size);
void lkc_k_write_range(void *p, size_t size);
#define LKC_DECLARE_PLAIN(n)                                                                       \
    void lkc_k_read##n(void *p);                                                                   \
    void lkc_k_write##n(void *p);
LKC_DECLARE_PLAIN(1)
LKC_DECLARE_PLAIN(2)
LKC_DECLARE_PLAIN(4)
LKC_DECLARE_PLAIN(8)
LKC_DECLARE_PLAIN(16)
#define LKC_DECLARE_FETCH(bits, type, name)                                                        \
    type lkc_k_##name##bits(volatile type *p, type v, int order);
#define LKC_DECLARE_ATOMIC(bits, type)                                                             \
    type lkc_k_load##bits(const volatile type *p, int order);                                      \
    void lkc_k_store##bits(volatile type *p, type v, int order);                                   \
    LKC_DECLARE_FETCH(bits, type, exchange)                                                        \
    LKC_DECLARE_FETCH(bits, type, fetch_add)                                                       \
    LKC_DECLARE_FETCH(bits, type, fetch_sub)                                                       \
    LKC_DECLARE_FETCH(bits, type, fetch_and)                                                       \
    LKC_DECLARE_FETCH(bits, type, fetch_or)                                                        \
    LKC_DECLARE_FETCH(bits, type, fetch_xor)                                                       \
    LKC_DECLARE_FETCH(bits, type, fetch_nand)                                                      \
    bool lkc_k_cas##bits(volatile type *p, type *e, type d, int order, int fail);                  \
    bool lkc_k_cas_weak##bits(volatile type *p, type *e, type d, int order, int fail);             \
    type lkc_k_cas_val##bits(volatile type *p, type e, type d, int order, int fail);
LKC_DECLARE_ATOMIC(8, uint8_t)
LKC_DECLARE_ATOMIC(16, uint16_t)
LKC_DECLARE_ATOMIC(32, uint32_t)
LKC_DECLARE_ATOMIC(64, uint64_t)

#endif
