/* latchkey/seg.h - segments: memory that processes share by name or by descriptor.
 *
 * A segment is one file: a name in a private directory on a memory file system, or a sealed memfd.
 * It is made as an unnamed file, given all its blocks (a full disk is ENOSPC here, never SIGBUS
 * later), filled in, and only then linked to its name: nobody can meet one half made, and a creator
 * that is killed leaves nothing.  Opening checks type, owner, mode, links, magic, layout version,
 * ABI, boot and size, each with its own error.
 *
 * Directory: $LK_DIR, or else /dev/shm/latchkey-UID, made 0700 on first use.  It must be a real
 * directory of the caller's own user that nobody else may enter: LK_EOWNER, LK_EMODE, LK_ETYPE.
 * Name: 1 to 200 bytes; no slash, no leading dot, no control bytes: LK_ENAME.
 *
 * Presence.  A thread that locks anything in a segment is *attached*: it holds one of the segment's
 * presence slots, which the kernel marks when the thread is gone (exit, exec, kill), whatever pid
 * namespace it was in and whoever has its pid by then.  Attaching happens by itself at the first
 * call that needs it and ends with the thread, at lk_seg_close() for the calling thread, or at
 * lk_seg_detach().
 *
 * Fork: the child inherits the mapping but is not attached; it attaches anew when it first needs
 * to. A lock that the parent held at the fork stays the parent's.
 * Exec: the kernel releases what the thread held, as at its death.
 * Not covered (the kernel cannot tell): threads made by raw clone(2) without glibc, a thread that
 * holds more than 2,048 robust locks, and async-signal handlers, from which no call here is safe.
 *
 * Source: Linux Documentation/locking/robust-futexes; open(2) O_TMPFILE; memfd_create(2). */
#ifndef LATCHKEY_SEG_H
#define LATCHKEY_SEG_H

#include <stddef.h>
#include <stdint.h>

#include "latchkey/err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_seg lk_seg;

#define LK_SEG_NAME_MAX 200
#define LK_SEG_THREADS_DEFAULT 128u
#define LK_SEG_THREADS_MAX 1020u

/* Make segment `name` with `size` bytes of memory of your own, all zero, page-aligned, and attach
 * it. `threads` = how many threads may be attached at once, 1..LK_SEG_THREADS_MAX, 0 = the default.
 * Returns     0        *out is the handle; lk_seg_close() it
 *             EEXIST   the name is taken; nothing changed
 *             EINVAL   size is 0 or threads out of range
 *             ENOSPC   the file system has not `size` and the header left
 *             LK_ENAME, LK_EOWNER, LK_EMODE, LK_ETYPE (the directory), ENOMEM, other errno
 * Blocks      no.      Safe from any thread. */
LK_API LK_MUST_USE int lk_seg_create(lk_seg **out, const char *name, size_t size, unsigned threads);

/* Attach the existing segment `name`.
 * Returns     0, ENOENT, LK_ENOTSEG, LK_EVERSION, LK_EABI, LK_ESIZE, LK_EOWNER, LK_EMODE,
 * LK_ELINKS,
 *             LK_ETYPE, LK_ENAME, LK_EBOOT, LK_EKIND (it is a cache), ENOMEM, other errno. */
LK_API LK_MUST_USE int lk_seg_open(lk_seg **out, const char *name);

/* Make a segment without a name: a memfd whose size is sealed.  Hand lk_seg_fd() to another process
 * (inheritance, SCM_RIGHTS); it calls lk_seg_open_fd().  Returns as lk_seg_create(). */
LK_API LK_MUST_USE int lk_seg_create_anonymous(lk_seg **out, size_t size, unsigned threads);

/* Attach the segment behind `fd`; the handle keeps a duplicate, `fd` stays the caller's.
 * An fd that was opened read-only gives a read-only mapping: nothing in it can be locked (EROFS).
 * Returns     as lk_seg_open(), EBADF. */
LK_API LK_MUST_USE int lk_seg_open_fd(lk_seg **out, int fd);

/* The segment's descriptor, owned by the handle; a named segment has one too. */
LK_API int lk_seg_fd(const lk_seg *s);

/* The memory and its size.  The address differs from process to process: store offsets, no
 * pointers. */
LK_API void *lk_seg_memory(const lk_seg *s);
LK_API size_t lk_seg_size(const lk_seg *s);

/* End the calling thread's presence.  It must hold no lock of the segment.  Does nothing if it is
 * not attached.  A thread's exit does the same by itself. */
LK_API void lk_seg_detach(lk_seg *s);

/* Give back the handle and its mapping.  No other thread of this process may be inside a call on it
 * or hold a lock in it.  NULL is allowed.  The segment and its name stay. */
LK_API void lk_seg_close(lk_seg *s);

/* Remove the name.  Processes that are attached keep the memory until they close it.
 * Returns     0, ENOENT, LK_ENAME, LK_ETYPE, LK_EOWNER, LK_EMODE, other errno. */
LK_API LK_MUST_USE int lk_seg_unlink(const char *name);

/* Call `each` once for every segment name in the directory, in no order, until it returns non-zero.
 * Files that cannot be segment names are passed over.  Returns 0, what `each` returned, or the
 * error of opening the directory (a directory that does not exist yet has no segments: 0). */
LK_API LK_MUST_USE int lk_seg_each_name(int (*each)(const char *name, void *arg), void *arg);

/* The directory that names are looked up in: $LK_DIR or the default.  Copies at most `capacity`
 * bytes with the final zero into buf.  Returns 0 or ENAMETOOLONG. */
LK_API LK_MUST_USE int lk_seg_directory(char *buf, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
