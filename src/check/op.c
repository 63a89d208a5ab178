/* op.c - what read-modify-writes make of the value that they read. */
#include "internal.h"

static uint64_t mask_of(unsigned size)
{
    return size >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * size)) - 1;
}

/* n things of k, at most 2^32 - 1. */
static uint64_t ways_of(unsigned k, uint64_t n)
{
    uint64_t ways = 1;
    if (n >= k)
        return 1;
    for (unsigned i = 1; i <= n && ways <= UINT32_MAX; i++)
        ways = ways * (k - n + i) / i;
    return ways;
}

/* Without n of the sleepers: the choice-th way, in the order of the bits. */
static uint64_t wake_some(uint64_t sleepers, uint64_t n, uint64_t choice)
{
    uint64_t left = sleepers, stay = 0;
    while (left != 0 && n != 0) {
        uint64_t lowest = left & -left;
        unsigned k = (unsigned)__builtin_popcountll(left);
        uint64_t with = ways_of(k - 1, n - 1); /* ways that wake the lowest */
        left &= left - 1;
        if (n >= k || choice < with) {
            n--;
        } else {
            choice -= with;
            stay |= lowest;
        }
    }
    return left | stay;
}

/* The last arrival opens the next phase and empties the count. */
static uint64_t barrier_arrive(uint64_t value, uint64_t count)
{
    uint64_t arrived = (value & UINT32_MAX) + 1;
    return arrived == count ? ((value >> 32) + 1) << 32 : (value & ~(uint64_t)UINT32_MAX) | arrived;
}

static uint64_t arithmetic(const struct event *e, uint64_t value)
{
    switch ((enum ev_op)e->op) {
    case OP_XCHG:
        return e->operand;
    case OP_ADD:
        return value + e->operand;
    case OP_SUB:
        return value - e->operand;
    case OP_AND:
        return value & e->operand;
    case OP_OR:
        return value | e->operand;
    case OP_XOR:
        return value ^ e->operand;
    case OP_NAND:
        return ~(value & e->operand);
    case OP_ENTER:
        return value | e->operand;
    case OP_LEAVE:
        return value & ~e->operand;
    case OP_WAKE:
        return wake_some(value, e->operand, e->choice);
    case OP_BARRIER:
        return barrier_arrive(value, e->expected);
    default:
        return value;
    }
}

enum outcome op_outcome(const struct event *e, uint64_t value, uint64_t *result)
{
    bool suits;
    *result = value;
    switch ((enum ev_op)e->op) {
    case OP_NONE:
    case OP_COMPARE:
        return OUT_READ;
    case OP_CAS:
        if (value != e->expected || e->choice != 0)
            return OUT_READ;
        *result = e->operand;
        return OUT_WRITE;
    case OP_WAIT_MASKED:
        return (value & e->expected) == e->operand ? OUT_READ : OUT_WAIT;
    case OP_WAIT_NOT:
        return (value & e->expected) != e->operand ? OUT_READ : OUT_WAIT;
    case OP_LOCK:
    case OP_TRYLOCK:
        suits = (value & e->expected) == 0;
        *result = (value + e->operand) & mask_of(e->size);
        return suits ? OUT_WRITE : e->op == OP_LOCK ? OUT_WAIT : OUT_READ;
    case OP_SEM:
        *result = value - 1;
        return value != 0 ? OUT_WRITE : OUT_WAIT;
    case OP_ROBUST: /* FUTEX_WAITERS stays, FUTEX_OWNER_DIED comes, the id goes */
        if ((value & 0x3fffffffu) != e->expected)
            return OUT_READ;
        *result = (value & ~(uint64_t)0x7fffffffu) | 0x40000000u;
        return OUT_WRITE;
    case OP_TRYSEM:
        *result = value - 1;
        return value != 0 ? OUT_WRITE : OUT_READ;
    default:
        *result = arithmetic(e, value) & mask_of(e->size);
        return OUT_WRITE;
    }
}

bool op_may_write(const struct event *e)
{
    return e->op != OP_NONE && e->op != OP_COMPARE && e->op != OP_WAIT_MASKED &&
           e->op != OP_WAIT_NOT;
}

uint32_t op_ways(const struct event *e, uint64_t value)
{
    if (e->op != OP_WAKE)
        return 1;
    uint64_t ways = ways_of((unsigned)__builtin_popcountll(value), e->operand);
    if (ways > UINT8_MAX)
        lkc_die("a wake of %lu threads of %d has too many outcomes", (unsigned long)e->operand,
                __builtin_popcountll(value));
    return (uint32_t)ways;
}
