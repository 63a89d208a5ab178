/* order.h - $LK_PTHREAD_ORDER: which lock the program held when it took which
 * (latchkey/order.h). */
#ifndef LKP_ORDER_H
#define LKP_ORDER_H

#include <stdbool.h>
#include <stdint.h>

/* Does the program's order of locks get learned?  Set before main(). */
extern bool lkp_order_on;

void lkp_order_begin(void);
/* In a child of fork: another thread may have held the graph's lock. */
void lkp_order_child(void);

/* The object at `object`, whose id is kept at *id (0: none yet), is about to be locked (`waits`),
 * or has been, by the caller of the function that calls this; or is being unlocked. */
void lkp_order_enter_slowly(uint32_t *id, const void *object, const char *type, bool waits,
                            const void *site);
void lkp_order_leave_slowly(const uint32_t *id);

#define lkp_order_enter(id, object, type, waits)                                                   \
    do {                                                                                           \
        if (__builtin_expect(lkp_order_on, 0))                                                     \
            lkp_order_enter_slowly(id, object, type, waits, __builtin_return_address(0));          \
    } while (0)

static inline void lkp_order_leave(const uint32_t *id)
{
    if (__builtin_expect(lkp_order_on, 0))
        lkp_order_leave_slowly(id);
}

#endif
