/* hooks.c - what the instrumented program calls, on the checker's side of the trap.
 *
 * The names and meanings are those of ThreadSanitizer's interface, which gcc and clang share.
 * Outside an exploration every hook does what the access itself would. */
#include "hooks.h"
#include "shim.h"

struct fiber *hook_enter(void)
{
    struct fiber *f = self();
    if (f == NULL)
        return NULL;
    if (f->watched != 0)
        plain_look_again(f);
    if (f->again && f->pending == 0) { /* replay what the call had done before it was put off */
        f->pos = f->op_pos;
        f->dying = false;
        f->lap = f->op_lap;
        f->deeds = f->op_deeds;
        f->spared = f->op_spared;
    } else {
        if (f->pending != 0)
            run_finish_plain(f);
        f->op_pos = f->pos;
        f->op_lap = f->lap;
        f->op_deeds = f->deeds;
        f->op_spared = f->spared;
    }
    f->again = 0;
    return f;
}

struct access hook_access(const struct fiber *f, const volatile void *p, unsigned size, int order)
{
    struct access a = {.addr = (uintptr_t)p,
                       .size = (uint8_t)size,
                       .order = (uint8_t)order,
                       .fail_order = (uint8_t)order,
                       .pc = lkc_trap_pc(f)};
    if (a.addr >= SHADOW)
        return a;
    if (lkc->mode != MODE_FAST)
        heap_check(a.addr, size, a.pc);
    else if (a.addr < 4096)
        heap_check(a.addr, size, a.pc);
    return a;
}

uint64_t hook_rmw(const struct fiber *f, const volatile void *p, unsigned size, int order,
                  enum ev_op op, uint64_t operand)
{
    struct access a = hook_access(f, p, size, order);
    a.op = (uint8_t)op;
    a.operand = operand;
    return explore_read(&a);
}

/* ---- plain accesses
 * --------------------------------------------------------------------------- */

#define PLAIN(n)                                                                                   \
    void lkc_k_read##n(void *p)                                                                    \
    {                                                                                              \
        struct fiber *f = hook_enter();                                                            \
        if (f != NULL)                                                                             \
            plain_read((uintptr_t)p, n, lkc_trap_pc(f));                                           \
    }                                                                                              \
    void lkc_k_write##n(void *p)                                                                   \
    {                                                                                              \
        struct fiber *f = hook_enter();                                                            \
        if (f != NULL)                                                                             \
            plain_write((uintptr_t)p, n, lkc_trap_pc(f));                                          \
    }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void lkc_k_read_range(void *p, size_t size)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        plain_read((uintptr_t)p, size, lkc_trap_pc(f));
}

void lkc_k_write_range(void *p, size_t size)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        plain_write((uintptr_t)p, size, lkc_trap_pc(f));
}

/* ---- atomics
 * ---------------------------------------------------------------------------------- */

/* The value that a compare-and-swap expects lies in memory of the program's. */
static void give_back(struct fiber *f, void *expected, unsigned size, uint64_t value)
{
    if ((uintptr_t)expected - f->stack_low >= f->stack_high - f->stack_low) {
        plain_write((uintptr_t)expected, size, lkc_trap_pc(f));
        f->pending = 0; /* never an atomic location itself */
    }
    plain_store((uintptr_t)expected, size, value);
}

static bool cas(struct fiber *f, const volatile void *p, void *expected, uint64_t desired,
                unsigned size, int order, int fail_order, bool weak)
{
    if (weak && lkc->opt.weak_fails && explore_choice(2, lkc_trap_pc(f)) == 1) {
        uint64_t seen = hook_rmw(f, p, size, fail_order, OP_NONE, 0);
        give_back(f, expected, size, seen);
        return false;
    }
    struct access a = hook_access(f, p, size, order);
    a.op = OP_CAS;
    a.expected = plain_load((uintptr_t)expected, size);
    a.operand = desired;
    a.fail_order = (uint8_t)fail_order;
    uint64_t seen = explore_read(&a);
    if (seen == a.expected)
        return true;
    give_back(f, expected, size, seen);
    return false;
}

#define FETCH(bits, type, name, op, builtin)                                                       \
    type lkc_k_##name##bits(volatile type *p, type v, int order)                                   \
    {                                                                                              \
        struct fiber *f = hook_enter();                                                            \
        if (f == NULL)                                                                             \
            return builtin(p, v, __ATOMIC_SEQ_CST);                                                \
        return (type)hook_rmw(f, p, sizeof *p, order, op, v);                                      \
    }

#define ATOMIC(bits, type)                                                                         \
    type lkc_k_load##bits(const volatile type *p, int order)                                       \
    {                                                                                              \
        struct fiber *f = hook_enter();                                                            \
        if (f == NULL)                                                                             \
            return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                           \
        return (type)hook_rmw(f, p, sizeof *p, order, OP_NONE, 0);                                 \
    }                                                                                              \
    void lkc_k_store##bits(volatile type *p, type v, int order)                                    \
    {                                                                                              \
        struct fiber *f = hook_enter();                                                            \
        if (f == NULL) {                                                                           \
            __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                              \
            return;                                                                                \
        }                                                                                          \
        struct access a = hook_access(f, p, sizeof *p, order);                                     \
        explore_write(&a, v);                                                                      \
    }                                                                                              \
    FETCH(bits, type, exchange, OP_XCHG, __atomic_exchange_n)                                      \
    FETCH(bits, type, fetch_add, OP_ADD, __atomic_fetch_add)                                       \
    FETCH(bits, type, fetch_sub, OP_SUB, __atomic_fetch_sub)                                       \
    FETCH(bits, type, fetch_and, OP_AND, __atomic_fetch_and)                                       \
    FETCH(bits, type, fetch_or, OP_OR, __atomic_fetch_or)                                          \
    FETCH(bits, type, fetch_xor, OP_XOR, __atomic_fetch_xor)                                       \
    FETCH(bits, type, fetch_nand, OP_NAND, __atomic_fetch_nand)                                    \
    bool lkc_k_cas##bits(volatile type *p, type *e, type d, int order, int fail)                   \
    {                                                                                              \
        struct fiber *f = hook_enter();                                                            \
        if (f == NULL)                                                                             \
            return __atomic_compare_exchange_n(p, e, d, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);    \
        return cas(f, p, e, d, sizeof d, order, fail, false);                                      \
    }                                                                                              \
    bool lkc_k_cas_weak##bits(volatile type *p, type *e, type d, int order, int fail)              \
    {                                                                                              \
        struct fiber *f = hook_enter();                                                            \
        if (f == NULL)                                                                             \
            return __atomic_compare_exchange_n(p, e, d, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);    \
        return cas(f, p, e, d, sizeof d, order, fail, true);                                       \
    }                                                                                              \
    type lkc_k_cas_val##bits(volatile type *p, type e, type d, int order, int fail)                \
    {                                                                                              \
        struct fiber *f = hook_enter();                                                            \
        if (f == NULL) {                                                                           \
            (void)__atomic_compare_exchange_n(p, &e, d, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);    \
            return e;                                                                              \
        }                                                                                          \
        struct access a = hook_access(f, p, sizeof d, order);                                      \
        a.op = OP_CAS;                                                                             \
        a.expected = e;                                                                            \
        a.operand = d;                                                                             \
        a.fail_order = (uint8_t)fail;                                                              \
        return (type)explore_read(&a);                                                             \
    }

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void lkc_k_fence(int order)
{
    struct fiber *f = hook_enter();
    if (f != NULL)
        explore_fence((unsigned)order, lkc_trap_pc(f));
    else
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void lkc_k_signal_fence(int order)
{
    (void)order;
    (void)hook_enter();
}

/* ---- threads begin and end
 * --------------------------------------------------------------------- */

void lkc_k_begin(void)
{
    (void)hook_enter();
    explore_begin();
}

void lkc_k_exit(void *result)
{
    shim_thread_ends(hook_enter());
    explore_end((uint64_t)(uintptr_t)result);
}
