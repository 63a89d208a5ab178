/* error.h - the thread's text of its last failure (lk_error_text). */
#ifndef LKI_ERROR_H
#define LKI_ERROR_H

/* Set the text and return rc, so that `return lki_fail(rc, "...", ...)` reads as one act. */
int lki_fail(int rc, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
