/* dlopen.c - programs that load their modules with RTLD_DEEPBIND (PHP does) would have the modules
 * use libc's locks and everybody else ours: two views of one object.  So the flag is dropped.
 *
 * The call of libc's own is a tail call: dlopen(3) looks at who called it, to find its RUNPATH. */
#include <dlfcn.h>

#include "interpose.h"

void *dlopen(const char *file, int mode)
{
    return lkp_real()->dlopen(file, mode & ~RTLD_DEEPBIND);
}
