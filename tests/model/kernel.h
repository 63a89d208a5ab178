/* kernel.h - included before every file of a model: what the sources would ask of the C library and
 * the kernel is asked of the model instead.  The checker itself, in the same program, goes on
 * calling the real ones. */
#ifndef MODEL_KERNEL_H
#define MODEL_KERNEL_H

/* Processor and time. */
#define __builtin_ia32_pause lk_check_relax

/* Memory and files. */
#define mmap model_mmap
#define munmap model_munmap
#define open model_open
#define openat model_openat
#define close model_close
#define read model_read
#define pread model_pread
#define fcntl model_fcntl
#define flock model_flock
#define fstat model_fstat
#define fstatat model_fstatat
#define faccessat model_faccessat
#define linkat model_linkat
#define unlinkat model_unlinkat
#define mkdir model_mkdir
#define posix_fallocate model_posix_fallocate
#define memfd_create model_memfd_create
#define getrandom model_getrandom
#define sysconf model_sysconf
#define pthread_atfork model_atfork

/* A thread of a model is a process, and such a mutex is its own: nobody else ever has it. */
#define pthread_mutex_lock model_mutex_lock
#define pthread_mutex_unlock model_mutex_unlock

#include "latchkey/check.h"

/* A bucket's slots that ever hold an entry, when the model has so few: the rest say 0 whichever of
 * the stores of 0 is read, and what a flush makes of them only multiplies the executions.  To leave
 * these reads out gives up what they might order, so it allows more, not less. */
#ifdef LK_MODEL_WAYS
#define LKI_SCAN_H
#include <stdint.h>
static inline uint32_t lki_scan(const uint64_t *words, uint64_t tag)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < LK_MODEL_WAYS; i++)
        mask |= (uint32_t)(__atomic_load_n(&words[i], __ATOMIC_RELAXED) >> 48 == tag)
                << (4 * i + 3);
    return mask;
}
static inline uint32_t lki_scan_first(uint32_t mask)
{
    return (uint32_t)__builtin_ctz(mask) >> 2;
}
#endif

#endif
