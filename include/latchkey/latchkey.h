/* latchkey/latchkey.h - all of latchkey. */
#ifndef LATCHKEY_LATCHKEY_H
#define LATCHKEY_LATCHKEY_H

#include "latchkey/cache.h"
#include "latchkey/err.h"
#include "latchkey/rmutex.h"
#include "latchkey/seg.h"

#endif
