/* latchkey/err.h - results, errors, and the macros that every public header uses.
 *
 * A call that can fail returns int:  0 = done;  > 0 = an errno value, where POSIX has the exact
 * word;  < 0 = one of `enum lk_error`, whose numbers never change.  Out-parameters are untouched
 * on failure unless the call says otherwise; `errno` promises nothing. */
#ifndef LATCHKEY_ERR_H
#define LATCHKEY_ERR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(LK_STATIC) || !(defined(__GNUC__) || defined(__clang__))
#define LK_API
#else
#define LK_API __attribute__((visibility("default")))
#endif
#if defined(__GNUC__) || defined(__clang__)
#define LK_MUST_USE __attribute__((warn_unused_result))
#else
#define LK_MUST_USE
#endif

enum lk_error {
    LK_ECORRUPT = -1,  /* what is stored contradicts itself; lk verify names the place */
    LK_ENOTSEG = -2,   /* the file is no latchkey segment (magic) */
    LK_EVERSION = -3,  /* a segment of another layout version */
    LK_EABI = -4,      /* a segment made for another byte order, word size or page size */
    LK_ESIZE = -5,     /* the file's size is not what its geometry says */
    LK_EOWNER = -6,    /* the file or its directory belongs to another user */
    LK_EMODE = -7,     /* group or others may read or write the file or its directory */
    LK_ELINKS = -8,    /* the file has a second name (hard link) */
    LK_ETYPE = -9,     /* not a regular file: symbolic link, directory, FIFO, device */
    LK_ENAME = -10,    /* not a segment name: empty, too long, a slash, a leading dot, a control */
    LK_EOPTIONS = -11, /* exists with other options; lk_error_text() says which */
    LK_ETHREADS = -12, /* every presence slot of the segment is taken by a live thread */
    LK_ECHANGED = -13, /* the value has another version by now (compare-and-swap) */
    LK_ENOTNUM = -14,  /* the value is no decimal integer of 64 bits */
    LK_EKIND = -15,    /* a sound segment that holds something else (a cache, plain memory) */
    LK_EBOOT = -16,    /* made before the last boot: the holders that it names are long gone */
};

/* What `rc` (any result of this library) means: a short English phrase without a full stop.
 * Never NULL; static text.  Safe from any thread. */
LK_API const char *lk_strerror(int rc);

/* What the calling thread's last failed open, create, attach, unlink, verify or repair failed at:
 * which file, which option, which value ("cache 'web': capacity_bytes is 1048576, asked 2097152").
 * "" when there was none.  Lasts until the thread's next failing call.  Safe from any thread. */
LK_API const char *lk_error_text(void);

/* The library's version, "MAJOR.MINOR.PATCH". */
LK_API const char *lk_version(void);

#ifdef __cplusplus
}
#endif
#endif
