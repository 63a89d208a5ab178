/* storm_files.c - the files that a storm serves: found, loaded, cut into chunks, ranked by a Zipf
 * law. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli.h"
#include "storm.h"

enum { FILES_MAX = 20000, FILE_BYTES_MAX = 8 << 20 };
#define TOTAL_BYTES_MAX (160ull << 20)
#define ZIPF_EXPONENT 1.0

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static uint64_t hash_path(const char *path)
{
    uint64_t h = 0x9e3779b97f4a7c15ull;
    for (; *path; path++)
        h = mix(h ^ (unsigned char)*path);
    return h;
}

/* Read the whole of one file behind what is loaded.  False = pass over it. */
static bool load_one(struct storm_files *f, const char *path, uint64_t size)
{
    if (f->count == FILES_MAX || size > FILE_BYTES_MAX || strlen(path) > STORM_PATH_MAX ||
        f->total_bytes + size > TOTAL_BYTES_MAX)
        return false;
    int fd = openat(f->dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    unsigned char *to = f->bytes + f->total_bytes;
    uint64_t have = 0;
    ssize_t n = 1;
    while (have < size && (n = read(fd, to + have, size - have)) > 0)
        have += (uint64_t)n;
    (void)close(fd);
    if (have != size)
        return false;
    char *copy = strdup(path);
    if (!copy)
        return false;
    f->file[f->count++] = (struct storm_file){
        .path = copy, .bytes = to, .path_hash = hash_path(path), .size = (uint32_t)size};
    f->total_bytes += (size + 7) & ~7ull; /* so that every file begins on a word */
    return true;
}

static int walk(struct storm_files *f, const char *dir)
{
    char *start = strdup(dir);
    if (!start)
        return ENOMEM;
    char *const roots[] = {start, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    if (!tree) {
        free(start);
        return errno;
    }
    size_t prefix = strlen(start);
    for (FTSENT *e; !cli_stop && (e = fts_read(tree)) != NULL;) {
        if (e->fts_info != FTS_F)
            continue;
        const char *path = e->fts_path + prefix;
        while (*path == '/')
            path++;
        if (!load_one(f, path, (uint64_t)e->fts_statp->st_size))
            f->skipped++;
    }
    (void)fts_close(tree);
    free(start);
    return f->count ? 0 : ENOENT;
}

/* Popular and unpopular must have nothing to do with names or sizes: shuffle, then rank. */
static int rank(struct storm_files *f, uint64_t seed)
{
    f->cdf = malloc(f->count * sizeof *f->cdf);
    if (!f->cdf)
        return ENOMEM;
    for (uint32_t i = f->count; i > 1; i--) {
        uint32_t j = (uint32_t)(mix(seed + i) % i);
        struct storm_file swap = f->file[i - 1];
        f->file[i - 1] = f->file[j];
        f->file[j] = swap;
    }
    double sum = 0;
    for (uint32_t i = 0; i < f->count; i++)
        f->cdf[i] = sum += pow(1.0 + (double)i, -ZIPF_EXPONENT);
    for (uint32_t i = 0; i < f->count; i++)
        f->cdf[i] /= sum;
    return 0;
}

static bool has_huge_pages(void)
{
    char line[64] = "";
    FILE *in = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    if (in) {
        if (!fgets(line, sizeof line, in))
            line[0] = '\0';
        (void)fclose(in);
    }
    return strstr(line, "[always]") || strstr(line, "[madvise]");
}

/* What limits the kill rate is how soon a new worker is at work.  Private memory in huge pages: a
 * fork copies few page tables and the worker has no page to fault in.  Without huge pages that
 * would be many page tables; then shared memory, for which a fork copies none. */
static unsigned char *room_for_files(void)
{
    int kind = has_huge_pages() ? MAP_PRIVATE : MAP_SHARED;
    void *p = mmap(NULL, TOTAL_BYTES_MAX, PROT_READ | PROT_WRITE,
                   kind | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (kind == MAP_PRIVATE)
        (void)madvise(p, TOTAL_BYTES_MAX, MADV_HUGEPAGE);
    return p;
}

int storm_files_load(struct storm_files *f, const char *dir, uint64_t seed)
{
    *f = (struct storm_files){.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (f->dir_fd < 0)
        return errno;
    f->file = calloc(FILES_MAX, sizeof *f->file);
    f->bytes = f->file ? room_for_files() : NULL;
    int rc = f->bytes ? walk(f, dir) : ENOMEM;
    if (rc == 0)
        rc = rank(f, seed);
    if (rc == 0 && mprotect(f->bytes, TOTAL_BYTES_MAX, PROT_READ) != 0)
        rc = errno;
    return rc;
}

void storm_files_cut(struct storm_files *f, uint32_t chunk_bytes)
{
    uint64_t key_total = 0;
    f->chunk_bytes = chunk_bytes;
    f->chunk_count = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        struct storm_file *file = &f->file[i];
        file->first_chunk = f->chunk_count;
        file->chunks = file->size ? (file->size + chunk_bytes - 1) / chunk_bytes : 1;
        f->chunk_count += file->chunks;
        key_total += (uint64_t)file->chunks * (strlen(file->path) + 6);
    }
    f->key_bytes = f->chunk_count ? (uint32_t)(key_total / f->chunk_count) : 0;
}

void storm_files_free(struct storm_files *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        free(f->file[i].path);
    free(f->file);
    free(f->cdf);
    if (f->bytes)
        (void)munmap(f->bytes, TOTAL_BYTES_MAX);
    if (f->dir_fd >= 0)
        (void)close(f->dir_fd);
    *f = (struct storm_files){.dir_fd = -1};
}
