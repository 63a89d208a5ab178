/* error.c - error codes in words. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "latchkey/err.h"

static __thread char text[512];

int lki_fail(int rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rc;
}

const char *lk_error_text(void)
{
    return text;
}

const char *lk_strerror(int rc)
{
    static const char *const names[] = {
        [-LK_ECORRUPT] = "what is stored contradicts itself",
        [-LK_ENOTSEG] = "not a latchkey segment",
        [-LK_EVERSION] = "segment of another layout version",
        [-LK_EABI] = "segment made for another kind of machine",
        [-LK_ESIZE] = "file size does not match the segment's geometry",
        [-LK_EOWNER] = "belongs to another user",
        [-LK_EMODE] = "group or others have access",
        [-LK_ELINKS] = "the file has a second name",
        [-LK_ETYPE] = "not a regular file or directory",
        [-LK_ENAME] = "not a segment name",
        [-LK_EOPTIONS] = "exists with other options",
        [-LK_ETHREADS] = "every presence slot is taken by a live thread",
        [-LK_ECHANGED] = "the value has another version",
        [-LK_ENOTNUM] = "the value is no integer of 64 bits",
        [-LK_EKIND] = "the segment holds something else",
        [-LK_EBOOT] = "made before the last boot",
    };
    if (rc == 0)
        return "success";
    if (rc < 0 && rc > -(int)(sizeof names / sizeof names[0]))
        return names[-rc];
    const char *known = rc > 0 ? strerrordesc_np(rc) : NULL;
    return known != NULL ? known : "unknown error";
}

#ifndef LK_VERSION
#define LK_VERSION "0.1.0"
#endif

const char *lk_version(void)
{
    return LK_VERSION;
}
