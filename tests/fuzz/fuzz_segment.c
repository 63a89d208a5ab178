/* fuzz_segment - open and use damaged segments, many, each by its seed.
 *
 *     fuzz_segment [--seed S] [--cases N] [--batch N] [--limit-ms N] [--save DIR]
 *     fuzz_segment --file SEGMENT [--seed S]     one case on a saved image
 *     fuzz_segment --write-corpus DIR            the sound images as inputs of fuzz_open
 *
 * Each batch of cases runs in a child, so that whatever happens is reported with its seed; the
 * image of a case that failed is kept in DIR.  A case that takes longer than the limit counts as
 * a hang. Exit: 0 all well, 1 a case failed, 2 usage, 3 cannot run, 130 interrupted. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "latchkey/seg.h"

enum { REFUSALS = 32, SECOND_MS = 1000 };
static char directory[64];

/* Shared by parent and children. */
struct page {
    uint64_t case_seed;
    uint64_t begun_ms; /* of the present case; 0: none is running */
    uint64_t done, opened;
    uint64_t longest_ms;
    uint64_t refused[REFUSALS]; /* by -code; positive codes in the last */
    size_t image_size;
    unsigned char image[FUZZ_IMAGE_MAX];
};
static struct page *page;
static volatile sig_atomic_t interrupted;

struct asked {
    uint64_t seed, cases, batch, limit_ms;
    const char *save, *file, *corpus;
};

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_MS + (uint64_t)t.tv_nsec / 1000000;
}

static bool write_all(int fd, const unsigned char *bytes, size_t size)
{
    if (ftruncate(fd, (off_t)size) != 0)
        return false;
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, bytes + done, size - done, (off_t)done);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* The image in the page, exercised by name or by descriptor. */
static int run_image(int fd, const char *name, struct fuzz_random *r)
{
    struct fuzz_exercise e = {.fd = fd, .guarded = true};
    if (!write_all(fd, page->image, page->image_size)) {
        perror("fuzz_segment: cannot write the segment");
        _exit(3);
    }
    e.name = fuzz_below(r, 2) ? name : NULL;
    e.read_only = fuzz_below(r, 8) == 0;
    return fuzz_exercise(&e, page->image_size, r);
}

static void count_result(int rc)
{
    if (rc == 0)
        page->opened++;
    else
        page->refused[rc < 0 && -rc < REFUSALS ? -rc : REFUSALS - 1]++;
}

static void run_case(uint64_t seed, int fd, const char *name)
{
    struct fuzz_random r = {seed};
    struct fuzz_image image = {.bytes = page->image};
    page->case_seed = seed;
    __atomic_store_n(&page->begun_ms, now_ms(), __ATOMIC_SEQ_CST);
    fuzz_image_copy(fuzz_below(&r, fuzz_images_count()), &image);
    fuzz_mutate(&image, &r);
    page->image_size = image.size;
    count_result(run_image(fd, name, &r));
    uint64_t took = now_ms() - page->begun_ms;
    if (took > page->longest_ms)
        page->longest_ms = took;
    __atomic_store_n(&page->begun_ms, 0, __ATOMIC_SEQ_CST);
    page->done++;
}

/* Segments need a private directory: one of our own, removed at the end. */
static bool make_directory(void)
{
    (void)snprintf(directory, sizeof directory, "%s/lk-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(directory) != NULL && setenv("LK_DIR", directory, 1) == 0;
}

static int make_file(char *name, size_t capacity)
{
    char path[128];
    (void)snprintf(name, capacity, "fuzz-%d", (int)getpid());
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

__attribute__((noreturn)) static void run_batch(const struct asked *asked, uint64_t first,
                                                uint64_t count)
{
    char name[32];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = make_file(name, sizeof name);
    if (fd < 0) {
        perror("fuzz_segment: cannot make a file");
        _exit(3);
    }
    for (uint64_t i = 0; i < count; i++)
        run_case(asked->seed * 0x9e3779b97f4a7c15u + first + i, fd, name);
    fuzz_ignore(lk_seg_unlink(name));
    exit(0);
}

/* Keep the image of the case that failed. */
static void save_image(const struct asked *asked)
{
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/case-%016llx.segment", asked->save,
                   (unsigned long long)page->case_seed);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || !write_all(fd, page->image, page->image_size))
        perror(path);
    else
        printf("  image: %s; run it by: fuzz_segment --file %s --seed %llu\n", path, path,
               (unsigned long long)page->case_seed);
    if (fd >= 0)
        (void)close(fd);
}

static void remove_file(pid_t child)
{
    char name[32];
    (void)snprintf(name, sizeof name, "fuzz-%d", (int)child);
    fuzz_ignore(lk_seg_unlink(name));
}

/* Wait for the child.  0 well, 1 failed, 130 interrupted. */
static int watch(pid_t child, const struct asked *asked)
{
    int status = 0;
    bool hang = false;
    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child)
            break;
        uint64_t begun = __atomic_load_n(&page->begun_ms, __ATOMIC_SEQ_CST);
        hang = begun != 0 && now_ms() > begun + asked->limit_ms;
        if (hang || interrupted) {
            (void)kill(child, hang ? SIGABRT : SIGKILL);
            (void)waitpid(child, &status, 0);
            break;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    remove_file(child);
    if (interrupted)
        return 130;
    if (!hang && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    printf("FAIL case %llu: %s %d\n", (unsigned long long)page->case_seed,
           hang                  ? "longer than the limit of ms"
           : WIFSIGNALED(status) ? "signal"
                                 : "exit code",
           hang                  ? (int)asked->limit_ms
           : WIFSIGNALED(status) ? WTERMSIG(status)
                                 : WEXITSTATUS(status));
    save_image(asked);
    return 1;
}

static void print_summary(const struct asked *asked, uint64_t failed, uint64_t begun_ms)
{
    printf("seed %llu: %llu cases, %llu opened, ", (unsigned long long)asked->seed,
           (unsigned long long)page->done, (unsigned long long)page->opened);
    for (int i = 1; i < REFUSALS; i++) {
        if (page->refused[i] > 0)
            printf("%llu refused (%s), ", (unsigned long long)page->refused[i],
                   i == REFUSALS - 1 ? "other" : lk_strerror(-i));
    }
    printf("longest %llu ms, failed %llu, %.1f s\n", (unsigned long long)page->longest_ms,
           (unsigned long long)failed, (double)(now_ms() - begun_ms) / SECOND_MS);
}

static int run_all(const struct asked *asked)
{
    enum { FAILURES_MAX = 20, PROGRESS_MS = 10000 };
    uint64_t begun = now_ms(), said = begun, failed = 0, first = 0;
    int rc = 0;
    while (first < asked->cases && failed < FAILURES_MAX && rc != 130) {
        uint64_t count = asked->cases - first;
        uint64_t before = page->done;
        if (count > asked->batch)
            count = asked->batch;
        (void)fflush(NULL);
        pid_t child = fork();
        if (child < 0)
            return 3;
        if (child == 0)
            run_batch(asked, first, count);
        rc = watch(child, asked);
        failed += rc == 1;
        page->begun_ms = 0;
        first += rc == 1 ? page->done - before + 1 : count; /* go on behind the one that failed */
        if (now_ms() - said > PROGRESS_MS) {
            said = now_ms();
            printf("%llu of %llu cases, %llu failed\n", (unsigned long long)page->done,
                   (unsigned long long)asked->cases, (unsigned long long)failed);
        }
    }
    print_summary(asked, failed, begun);
    return rc == 130 ? 130 : failed > 0;
}

/* One case on a saved image, in this process: for a debugger. */
static int run_file(const struct asked *asked)
{
    struct fuzz_random r = {asked->seed};
    char name[32];
    int from = open(asked->file, O_RDONLY | O_CLOEXEC);
    ssize_t n = from < 0 ? -1 : read(from, page->image, FUZZ_IMAGE_MAX);
    int fd = make_file(name, sizeof name);
    if (n < 0 || fd < 0) {
        perror(asked->file);
        return 3;
    }
    /* The same draws as in run_case(), then the image that was kept. */
    struct fuzz_image scratch = {.bytes = malloc(FUZZ_IMAGE_MAX)};
    if (scratch.bytes == NULL)
        return 3;
    fuzz_image_copy(fuzz_below(&r, fuzz_images_count()), &scratch);
    fuzz_mutate(&scratch, &r);
    free(scratch.bytes);
    page->image_size = (size_t)n;
    int rc = run_image(fd, name, &r);
    fuzz_ignore(lk_seg_unlink(name));
    printf("opening returned %d (%s %s)\n", rc, lk_strerror(rc), rc != 0 ? lk_error_text() : "");
    return 0;
}

/* Inputs of fuzz_open: 8 bytes of seed, then the segment. */
static int write_corpus(const char *dir)
{
    for (uint32_t i = 0; i < fuzz_images_count(); i++) {
        char path[4200];
        uint64_t seed = i;
        struct fuzz_image image = {.bytes = page->image};
        fuzz_image_copy(i, &image);
        memmove(page->image + sizeof seed, page->image, image.size);
        memcpy(page->image, &seed, sizeof seed);
        (void)snprintf(path, sizeof path, "%s/image-%u", dir, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || !write_all(fd, page->image, image.size + sizeof seed)) {
            perror(path);
            return 3;
        }
        (void)close(fd);
    }
    return 0;
}

static bool parse(int argc, char **argv, struct asked *asked)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},         {"cases", required_argument, NULL, 'n'},
        {"batch", required_argument, NULL, 'b'},        {"limit-ms", required_argument, NULL, 'l'},
        {"save", required_argument, NULL, 'd'},         {"file", required_argument, NULL, 'f'},
        {"write-corpus", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        uint64_t number = optarg != NULL ? strtoull(optarg, NULL, 10) : 0;
        switch (option) {
        case 's':
            asked->seed = number;
            break;
        case 'n':
            asked->cases = number;
            break;
        case 'b':
            asked->batch = number;
            break;
        case 'l':
            asked->limit_ms = number;
            break;
        case 'd':
            asked->save = optarg;
            break;
        case 'f':
            asked->file = optarg;
            break;
        case 'c':
            asked->corpus = optarg;
            break;
        default:
            return false;
        }
    }
    return optind == argc && asked->batch > 0;
}

int main(int argc, char **argv)
{
    struct asked asked = {.seed = 1, .cases = 2000, .batch = 200, .limit_ms = 10000, .save = "."};
    if (!parse(argc, argv, &asked)) {
        fprintf(stderr,
                "usage: %s [--seed S] [--cases N] [--batch N] [--limit-ms N] [--save DIR]\n"
                "       %s --file SEGMENT [--seed S]\n",
                argv[0], argv[0]);
        return 2;
    }
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || !make_directory()) {
        perror("fuzz_segment");
        return 3;
    }
    int rc = 3;
    if (fuzz_images_make())
        rc = asked.corpus != NULL ? write_corpus(asked.corpus)
             : asked.file != NULL ? run_file(&asked)
                                  : run_all(&asked);
    (void)rmdir(directory);
    return rc;
}
