/* What may be wrong around a segment, each with an error of its own, and a text that names the
 * segment (or the directory) and the reason. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "shm/segment.h"
#include "test.h"

enum { NOBODY = 65534 };

static const struct lk_cache_options small = {
    .flags = LK_CACHE_CREATE, .capacity_bytes = 4096, .threads = 12};
static const struct lk_cache_options attach_only = {0};

static const char *path_of(const char *name)
{
    static char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", t_tmpdir(), name);
    return path;
}

static void make_cache(const char *name)
{
    lk_cache *c = NULL;
    (void)t_tmpdir();
    T_REQUIRE_RC(lk_cache_open(&c, name, &small), 0);
    lk_cache_close(c);
}

/* Opening fails with `code`, says both words, and leaves the handle alone. */
static void require_refused(const char *name, int code, const char *word, const char *reason)
{
    lk_cache *const untouched = (lk_cache *)(uintptr_t)8;
    lk_cache *c = untouched;
    T_REQUIRE_RC(lk_cache_open(&c, name, &attach_only), code);
    T_REQUIRE(c == untouched);
    const char *text = lk_error_text();
    if (strstr(text, word) == NULL || strstr(text, reason) == NULL)
        T_FAIL("the text is \"%s\", without \"%s\" or \"%s\"", text, word, reason);
}

/* The same for making one. */
static void require_not_made(const char *name, int code, const char *word, const char *reason)
{
    lk_cache *c = NULL;
    T_REQUIRE_RC(lk_cache_open(&c, name, &small), code);
    const char *text = lk_error_text();
    if (strstr(text, word) == NULL || strstr(text, reason) == NULL)
        T_FAIL("the text is \"%s\", without \"%s\" or \"%s\"", text, word, reason);
}

T_TEST(absent_segment_is_enoent)
{
    (void)t_tmpdir();
    require_refused("web", ENOENT, "'web'", "No such file");
    T_REQUIRE_RC(lk_cache_unlink("web"), ENOENT);
    T_REQUIRE(strstr(lk_error_text(), "'web'") != NULL);
}

T_TEST(symbolic_link_is_not_followed)
{
    char target[300];
    make_cache("real");
    (void)snprintf(target, sizeof target, "%s", path_of("real"));
    T_REQUIRE_EQ(symlink(target, path_of("web")), 0);
    require_refused("web", LK_ETYPE, "'web'", "not a regular file");
    require_not_made("web", LK_ETYPE, "'web'", "not a regular file");
}

T_TEST(directory_that_is_a_symbolic_link_is_refused)
{
    char link[300];
    make_cache("web");
    (void)snprintf(link, sizeof link, "%s/link", t_tmpdir());
    T_REQUIRE_EQ(symlink(t_tmpdir(), link), 0);
    T_REQUIRE_EQ(setenv("LK_DIR", link, 1), 0);
    require_refused("web", LK_ETYPE, link, "symbolic link");
    require_not_made("web", LK_ETYPE, link, "symbolic link");
}

T_TEST(directory_that_others_may_enter_is_refused)
{
    make_cache("web");
    static const mode_t modes[] = {0777, 0701, 0750, 01777};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        T_REQUIRE_EQ(chmod(t_tmpdir(), modes[i]), 0);
        require_refused("web", LK_EMODE, t_tmpdir(), "0700");
        require_not_made("other", LK_EMODE, t_tmpdir(), "0700");
        T_REQUIRE_RC(lk_cache_unlink("web"), LK_EMODE);
    }
    T_REQUIRE_EQ(chmod(t_tmpdir(), 0700), 0);
    T_REQUIRE_RC(lk_cache_unlink("web"), 0);
}

T_TEST(other_users_directory_is_refused)
{
    if (geteuid() != 0)
        T_SKIP("only root can give a directory away");
    make_cache("web");
    T_REQUIRE_EQ(chown(t_tmpdir(), NOBODY, NOBODY), 0);
    require_refused("web", LK_EOWNER, t_tmpdir(), "belongs to uid 65534");
}

T_TEST(other_users_file_is_refused)
{
    if (geteuid() != 0)
        T_SKIP("only root can give a file away");
    make_cache("web");
    T_REQUIRE_EQ(chown(path_of("web"), NOBODY, NOBODY), 0);
    require_refused("web", LK_EOWNER, "'web'", "belongs to uid 65534");
    require_not_made("web", LK_EOWNER, "'web'", "belongs to uid 65534");
}

T_TEST(file_that_others_may_read_is_refused)
{
    make_cache("web");
    static const mode_t modes[] = {0640, 0602, 0604, 0666};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        T_REQUIRE_EQ(chmod(path_of("web"), modes[i]), 0);
        require_refused("web", LK_EMODE, "'web'", "must be 0600");
    }
}

T_TEST(hard_link_is_refused)
{
    char other[300];
    make_cache("web");
    (void)snprintf(other, sizeof other, "%s/other", t_tmpdir());
    T_REQUIRE_EQ(link(path_of("web"), other), 0);
    require_refused("web", LK_ELINKS, "'web'", "2 names");
    T_REQUIRE_EQ(unlink(other), 0);
    lk_cache *c = NULL;
    T_REQUIRE_RC(lk_cache_open(&c, "web", &attach_only), 0);
    lk_cache_close(c);
}

T_TEST(file_of_another_size_is_refused)
{
    struct stat st;
    make_cache("web");
    T_REQUIRE_EQ(stat(path_of("web"), &st), 0);
    const off_t sizes[] = {
        st.st_size - 1, st.st_size + 1, st.st_size - 4096, st.st_size + 4096, 4096, 1, 0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        T_REQUIRE_EQ(truncate(path_of("web"), sizes[i]), 0);
        if (sizes[i] >= (off_t)sizeof(struct lki_header))
            require_refused("web", LK_ESIZE, "'web'", "geometry says");
        else
            require_refused("web", LK_ESIZE, "'web'", "too few for a header");
    }
}

T_TEST(things_that_are_no_file_are_refused)
{
    make_cache("web");
    T_REQUIRE_EQ(mkfifo(path_of("fifo"), 0600), 0);
    require_refused("fifo", LK_ETYPE, "'fifo'", "not a regular file");
    T_REQUIRE_EQ(mkdir(path_of("folder"), 0700), 0);
    require_refused("folder", LK_ETYPE, "'folder'", "not a regular file");
    require_not_made("folder", LK_ETYPE, "'folder'", "not a regular file");
    T_REQUIRE_RC(lk_cache_unlink("folder"), LK_ETYPE);
    if (geteuid() == 0 && mknod(path_of("null"), S_IFCHR | 0600, (1 << 8) | 3) == 0)
        require_refused("null", LK_ETYPE, "'null'", "not a regular file");
}

T_TEST(descriptor_of_something_else_is_refused)
{
    lk_cache *c = NULL;
    int ends[2];
    T_REQUIRE_EQ(pipe(ends), 0);
    T_REQUIRE_RC(lk_cache_open_fd(&c, ends[0], &attach_only), LK_ETYPE);
    T_REQUIRE_RC(lk_cache_open_fd(&c, 12345, &attach_only), EBADF);
    T_REQUIRE_RC(lk_cache_open_fd(&c, -1, &attach_only), EBADF);
    make_cache("web");
    int fd = open(path_of("web"), O_WRONLY);
    T_REQUIRE(fd >= 0);
    T_REQUIRE(lk_cache_open_fd(&c, fd, &attach_only) != 0); /* what cannot be read cannot be used */
    T_REQUIRE(c == NULL);
}

T_TEST(names_that_are_none_are_refused)
{
    char longest[202];
    memset(longest, 'n', sizeof longest);
    longest[201] = '\0';
    (void)t_tmpdir();
    require_not_made("a/b", LK_ENAME, "'a/b'", "slash");
    require_not_made("../b", LK_ENAME, "../b", "dot");
    require_not_made(".hidden", LK_ENAME, "'.hidden'", "dot");
    require_not_made("", LK_ENAME, "name", "empty");
    require_not_made("a\nb", LK_ENAME, "0x0a", "control");
    require_not_made("a\x7f", LK_ENAME, "0x7f", "control");
    require_not_made(longest, LK_ENAME, "nnnn", "longer than 200");
    require_refused("a/b", LK_ENAME, "'a/b'", "slash");
    T_REQUIRE_RC(lk_cache_unlink("a/b"), LK_ENAME);
    longest[200] = '\0'; /* exactly the longest */
    make_cache(longest);
    make_cache("caf\xc3\xa9 1");
}

/* Overwrite a field of the header of cache 'web'. */
static void patch(size_t offset, const void *bytes, size_t size)
{
    int fd = open(path_of("web"), O_RDWR | O_CLOEXEC);
    T_REQUIRE(fd >= 0);
    T_REQUIRE_EQ(pwrite(fd, bytes, size, (off_t)offset), size);
    (void)close(fd);
}

/* Patch, see it refused, patch back. */
#define REFUSED_WITH(field, value, code, reason)                                                   \
    do {                                                                                           \
        struct lki_header was_;                                                                    \
        int fd_ = open(path_of("web"), O_RDONLY | O_CLOEXEC);                                      \
        T_REQUIRE_EQ(pread(fd_, &was_, sizeof was_, 0), sizeof was_);                              \
        (void)close(fd_);                                                                          \
        __typeof__(was_.field) value_ = (value);                                                   \
        patch(offsetof(struct lki_header, field), &value_, sizeof value_);                         \
        require_refused("web", code, "'web'", reason);                                             \
        patch(0, &was_, sizeof was_);                                                              \
    } while (0)

T_TEST(headers_of_other_kinds_are_told_apart)
{
    make_cache("web");
    REFUSED_WITH(magic, 0, LK_ENOTSEG, "not a latchkey segment");
    REFUSED_WITH(layout_version, LKI_LAYOUT_VERSION + 1, LK_EVERSION, "layout version");
    REFUSED_WITH(abi, 0x04030201u, LK_EABI, "ABI");
    REFUSED_WITH(page_bytes, 65536, LK_EABI, "65536");
    REFUSED_WITH(kind, LKI_KIND_MEMORY, LK_EKIND, "plain memory");
    REFUSED_WITH(kind, 77, LK_EKIND, "unknown");
    REFUSED_WITH(threads, 0, LK_ESIZE, "geometry");
    REFUSED_WITH(threads, 2000000000u, LK_ESIZE, "geometry");
    REFUSED_WITH(body_size, 0, LK_ESIZE, "geometry");
    REFUSED_WITH(body_size, UINT64_MAX, LK_ESIZE, "geometry");
    REFUSED_WITH(file_size, 1 << 20, LK_ESIZE, "geometry");
    REFUSED_WITH(params[0], 1ull << 30, LK_ESIZE, "geometry");
    lk_cache *c = NULL;
    T_REQUIRE_RC(lk_cache_open(&c, "web", &attach_only), 0);
    lk_cache_close(c);
}

T_TEST(cache_and_memory_are_told_apart)
{
    lk_seg *s = NULL;
    (void)t_tmpdir();
    T_REQUIRE_RC(lk_seg_create(&s, "memory", 100, 2), 0);
    require_refused("memory", LK_EKIND, "'memory'", "plain memory");
    require_not_made("memory", LK_EKIND, "'memory'", "plain memory");
    lk_seg_close(s);
    make_cache("web");
    T_REQUIRE_RC(lk_seg_open(&s, "web"), LK_EKIND);
    T_REQUIRE(strstr(lk_error_text(), "'web'") != NULL);
}

static void make_stale(void)
{
    uint8_t boot[16];
    memset(boot, 0xb0, sizeof boot);
    patch(offsetof(struct lki_header, boot_id), boot, sizeof boot);
}

T_TEST(segment_from_before_the_last_boot_is_told_and_replaced)
{
    lk_cache *c = NULL;
    char byte;
    size_t size;
    make_cache("web");
    T_REQUIRE_RC(lk_cache_open(&c, "web", &attach_only), 0);
    T_REQUIRE_RC(lk_cache_set(c, "k", 1, "v", 1, 0), 0);
    lk_cache_close(c);
    make_stale();
    require_refused("web", LK_EBOOT, "'web'", "before the last boot");
    T_REQUIRE_RC(lk_cache_open(&c, "web", &small), 0);
    T_REQUIRE_RC(lk_cache_get(c, "k", 1, &byte, 1, &size), ENOENT);
    lk_cache_close(c);
    T_REQUIRE_RC(lk_cache_open(&c, "web", &attach_only), 0);
    lk_cache_close(c);
}

static void open_and_incr(void *unused)
{
    lk_cache *c = NULL;
    (void)unused;
    T_REQUIRE_RC(lk_cache_open(&c, "web", &small), 0);
    T_REQUIRE_RC(lk_cache_incr(c, "n", 1, 1, 1, LK_TTL_NEVER, NULL), 0);
    lk_cache_close(c);
}

/* Of many that open at once, with the name free or stale, all end in one cache. */
static void race(bool stale)
{
    enum { PROCESSES = 8, ROUNDS = 30 };
    pid_t pids[PROCESSES];
    (void)t_tmpdir();
    for (int round = 0; round < ROUNDS; round++) {
        lk_cache *c = NULL;
        char text[8] = "";
        size_t size = 0;
        if (stale) {
            make_cache("web");
            make_stale();
        }
        for (int i = 0; i < PROCESSES; i++)
            pids[i] = t_fork(open_and_incr, NULL);
        for (int i = 0; i < PROCESSES; i++)
            T_REQUIRE_EQ(t_wait(pids[i]), 0);
        T_REQUIRE_RC(lk_cache_open(&c, "web", &attach_only), 0);
        T_REQUIRE_RC(lk_cache_get(c, "n", 1, text, sizeof text - 1, &size), 0);
        T_REQUIRE_STR_EQ(text, "8");
        lk_cache_close(c);
        T_REQUIRE_RC(lk_cache_unlink("web"), 0);
    }
}

T_TEST(processes_that_make_one_cache_at_once_share_it)
{
    race(false);
}

T_TEST(processes_that_replace_a_stale_cache_at_once_share_the_new_one)
{
    race(true);
}

/* Each option that disagrees is named, with both values. */
T_TEST(options_that_disagree_are_named)
{
    (void)t_tmpdir();
    const struct lk_cache_options made = {.flags = LK_CACHE_CREATE,
                                          .shards = 2,
                                          .capacity_bytes = 65536,
                                          .granule_bytes = 64,
                                          .entry_bytes = 100,
                                          .ttl_ns = 5000000000,
                                          .threads = 7,
                                          .checksum = 1};
    lk_cache *c = NULL;
    T_REQUIRE_RC(lk_cache_open(&c, "web", &made), 0);
    lk_cache_close(c);
    T_REQUIRE_RC(lk_cache_open(&c, "web", &made), 0); /* the same again agrees */
    lk_cache_close(c);
    T_REQUIRE_RC(lk_cache_open(&c, "web", NULL), 0); /* and so do defaults */
    lk_cache_close(c);
    static const struct {
        struct lk_cache_options o;
        const char *field, *is, *asked;
    } cases[] = {
        {{.shards = 3}, "shards", "2", "3"},
        {{.capacity_bytes = 131072}, "capacity_bytes", "65536", "131072"},
        {{.granule_bytes = 96}, "granule_bytes", "64", "96"},
        {{.entry_bytes = 200}, "entry_bytes", "100", "200"},
        {{.ttl_ns = LK_TTL_NEVER}, "ttl_ns", "5000000000", "18446744073709551615"},
        {{.threads = 9}, "threads", "7", "9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        T_REQUIRE_RC(lk_cache_open(&c, "web", &cases[i].o), LK_EOPTIONS);
        const char *text = lk_error_text();
        if (strstr(text, "'web'") == NULL || strstr(text, cases[i].field) == NULL ||
            strstr(text, cases[i].is) == NULL || strstr(text, cases[i].asked) == NULL)
            T_FAIL("the text is \"%s\"", text);
    }
    T_REQUIRE_RC(lk_cache_unlink("web"), 0);
    make_cache("web");
    T_REQUIRE_RC(lk_cache_open(&c, "web", &(struct lk_cache_options){.checksum = 1}), LK_EOPTIONS);
    T_REQUIRE(strstr(lk_error_text(), "checksum") != NULL);
}

T_TEST(options_out_of_range_are_named)
{
    (void)t_tmpdir();
    static const struct {
        struct lk_cache_options o;
        const char *field;
    } cases[] = {
        {{.shards = 1025}, "shards"},
        {{.shards = 1024, .capacity_bytes = 4096}, "shards"},
        {{.capacity_bytes = 1}, "capacity_bytes"},
        {{.capacity_bytes = (1ull << 40) + 1}, "capacity_bytes"},
        {{.capacity_bytes = 1ull << 40, .shards = 1, .granule_bytes = 32}, "capacity_bytes"},
        {{.granule_bytes = 24}, "granule_bytes"},
        {{.granule_bytes = 49}, "granule_bytes"},
        {{.granule_bytes = 4104}, "granule_bytes"},
        {{.entry_bytes = (1 << 20) + 1}, "entry_bytes"},
        {{.ttl_ns = LK_TTL_KEEP}, "ttl_ns"},
        {{.threads = LK_SEG_THREADS_MAX + 1}, "threads"},
        {{.checksum = 2}, "checksum"},
        {{.reserved = {0, 0, 0, 1}}, "reserved"},
        {{.flags = 1u << 9}, "flags"},
        {{.flags = LK_CACHE_READ_ONLY}, "flags"}, /* with CREATE */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lk_cache *c = NULL;
        struct lk_cache_options o = cases[i].o;
        o.flags |= LK_CACHE_CREATE;
        T_REQUIRE_RC(lk_cache_open(&c, "web", &o), EINVAL);
        if (strstr(lk_error_text(), cases[i].field) == NULL)
            T_FAIL("the text is \"%s\", without \"%s\"", lk_error_text(), cases[i].field);
        require_refused("web", ENOENT, "'web'", "No such");
    }
}

/* One MiB of tmpfs in a mount namespace of our own. */
static void on_a_full_file_system(void *unused)
{
    (void)unused;
    lk_cache *c = NULL;
    lk_seg *s = NULL;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", t_tmpdir(), "tmpfs", 0, "size=1m,mode=0700") != 0)
        _exit(77);
    struct lk_cache_options o = {.flags = LK_CACHE_CREATE, .capacity_bytes = 4 << 20};
    T_REQUIRE_RC(lk_cache_open(&c, "web", &o), ENOSPC);
    T_REQUIRE(strstr(lk_error_text(), "'web'") != NULL);
    T_REQUIRE(strstr(lk_error_text(), "No space left") != NULL);
    T_REQUIRE_RC(lk_seg_create(&s, "memory", 2 << 20, 4), ENOSPC);
    /* Nothing is left behind, and what fits works. */
    o.capacity_bytes = 256 << 10;
    T_REQUIRE_RC(lk_cache_open(&c, "web", &o), 0);
    T_REQUIRE_RC(lk_cache_set(c, "k", 1, "v", 1, 0), 0);
    for (int i = 0; i < 5000; i++)
        T_REQUIRE_RC(lk_cache_set(c, &i, sizeof i, t_tmpdir(), 12, 0), 0);
    T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
    lk_cache_close(c);
    T_REQUIRE_RC(lk_cache_unlink("web"), 0);
}

T_TEST(full_file_system_is_enospc_and_no_signal)
{
    (void)t_tmpdir();
    int code = t_wait(t_fork(on_a_full_file_system, NULL));
    if (code == 77)
        T_SKIP("no right to mount");
    T_REQUIRE_EQ(code, 0);
}

T_TEST(exclusive_creation_finds_the_name_taken)
{
    struct lk_cache_options o = small;
    lk_cache *c = NULL;
    o.flags |= LK_CACHE_EXCLUSIVE;
    make_cache("web");
    T_REQUIRE_RC(lk_cache_open(&c, "web", &o), EEXIST);
    T_REQUIRE(strstr(lk_error_text(), "'web'") != NULL);
    T_REQUIRE_RC(lk_cache_unlink("web"), 0);
    T_REQUIRE_RC(lk_cache_open(&c, "web", &o), 0);
    lk_cache_close(c);
}
