/* load.h - filling an empty tree in a commit. */
#ifndef LKI_LOAD_H
#define LKI_LOAD_H

#include "object/db.h"

/* Store the entries that t->load gives, in nodes of their own.  Sets *named but for the sizes.
 * Returns 0, EINVAL (an entry is too long or out of order; lk_error_text() says which), EFBIG,
 * ENOMEM, or what the store or t->load returned. */
int lki_load(lk_tree *t, const lk_store *store, struct lk_writing *w, struct lki_named *named);

#endif
