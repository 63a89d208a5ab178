/* copy.h - copying bytes that another process may be writing.
 *
 * What is copied is trusted only after a version check, so a torn copy is no error; but C calls a
 * plain racing memcpy undefined.  The portable form moves relaxed atomic words.  On x86-64 the same
 * moves are done by machine instructions that the compiler cannot see through, 16 bytes at a time
 * and without alignment; sanitizer and checker builds use the portable form. */
#ifndef LKI_COPY_H
#define LKI_COPY_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LKI_COPY_PORTABLE 1
#endif
#endif
#if !defined(LKI_COPY_PORTABLE) &&                                                                 \
    (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(LK_BUILD_MODEL) ||   \
     !defined(__x86_64__))
#define LKI_COPY_PORTABLE 1
#endif

/* Copy n bytes of shared memory into private memory. */
void lki_copy_out(void *dst, const void *shared, size_t n);

/* Copy n private bytes into shared memory. */
void lki_copy_in(void *shared, const void *src, size_t n);

/* Are n shared bytes equal to n private ones, as far as one look can tell? */
bool lki_copy_equal(const void *shared, const void *src, size_t n);

#endif
