/* latchkey/latchkey.h - all of latchkey. */
#ifndef LATCHKEY_LATCHKEY_H
#define LATCHKEY_LATCHKEY_H

#include "latchkey/barrier.h"
#include "latchkey/cache.h"
#include "latchkey/claim.h"
#include "latchkey/cond.h"
#include "latchkey/db.h"
#include "latchkey/err.h"
#include "latchkey/key.h"
#include "latchkey/level.h"
#include "latchkey/mutex.h"
#include "latchkey/object.h"
#include "latchkey/once.h"
#include "latchkey/order.h"
#include "latchkey/rmutex.h"
#include "latchkey/robust.h"
#include "latchkey/rwlock.h"
#include "latchkey/seg.h"
#include "latchkey/sem.h"
#include "latchkey/seqlock.h"
#include "latchkey/store.h"
#include "latchkey/tree.h"
#include "latchkey/set.h"

#endif
