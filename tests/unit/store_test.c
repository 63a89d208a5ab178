/* One suite for every store: what latchkey/store.h says holds behind each URL. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "latchkey/store.h"
#include "test.h"

enum { URLS_MAX = 4 };
static char urls[URLS_MAX][512];

/* The stores to try: each begins empty.  $LK_TEST_POSTGRESQL is set where a server runs. */
static int all_urls(void)
{
    int n = 0;
    const char *server = getenv("LK_TEST_POSTGRESQL");
    snprintf(urls[n++], 512, "mem:");
    snprintf(urls[n++], 512, "lmdb:%s/store", t_tmpdir());
    snprintf(urls[n++], 512, "fault:fail=0:lmdb:%s/faulty", t_tmpdir());
    if (server != NULL)
        snprintf(urls[n++], 512, "%s", server);
    return n;
}

static bool open_store(lk_store *s, const char *url)
{
    int rc = lk_store_open(s, url, &(struct lk_store_options){.sync = LK_SYNC_NONE});
    if (rc == ENOTSUP) {
        T_LOG("%s: not in this build", url);
        return false;
    }
    T_REQUIRE_RC(rc, 0);
    return true;
}

/* Run fn on every store. */
static void on_each(void (*fn)(lk_store *s))
{
    int n = all_urls();
    for (int i = 0; i < n; i++) {
        lk_store s;
        if (open_store(&s, urls[i])) {
            fn(&s);
            lk_store_close(&s);
        }
    }
}

struct step {
    uint64_t oid;
    const char *text; /* NULL: remove */
};
struct steps {
    const struct step *step;
    int n, rc;
};

static int do_steps(void *arg, struct lk_writing *w)
{
    struct steps *s = arg;
    for (int i = 0; i < s->n; i++) {
        const char *text = s->step[i].text;
        int rc = w->put(w, s->step[i].oid, text, text != NULL ? strlen(text) : 0);
        if (rc != 0)
            return rc;
    }
    return s->rc;
}

static uint64_t write_steps(lk_store *s, const struct step *step, int n)
{
    uint64_t tid = 0;
    T_REQUIRE_RC(s->ops->write(s->at, do_steps, &(struct steps){step, n, 0}, &tid), 0);
    return tid;
}

static int take_text(void *arg, const void *bytes, size_t size)
{
    T_REQUIRE(size < 64);
    memcpy(arg, bytes, size);
    ((char *)arg)[size] = '\0';
    return 0;
}

static void require_text(lk_store *s, void *snap, uint64_t oid, const char *text)
{
    char got[64] = "";
    T_REQUIRE_RC(s->ops->load(s->at, snap, oid, take_text, got), text != NULL ? 0 : ENOENT);
    T_REQUIRE_STR_EQ(got, text != NULL ? text : "");
}

static void *snap_of(lk_store *s, uint64_t *tid)
{
    void *snap = NULL;
    T_REQUIRE_RC(s->ops->snap(s->at, &snap, tid), 0);
    return snap;
}

static void check_snapshots(lk_store *s)
{
    uint64_t t0, t1, t2;
    void *before = snap_of(s, &t0);
    uint64_t first = write_steps(s, (struct step[]){{20, "one"}, {21, "two"}}, 2);
    T_REQUIRE_EQ(first, t0 + 1);
    void *between = snap_of(s, &t1);
    T_REQUIRE_EQ(t1, first);
    write_steps(s, (struct step[]){{20, "three"}, {21, NULL}, {22, ""}, {20, "four"}}, 4);
    void *after = snap_of(s, &t2);
    T_REQUIRE_EQ(t2, first + 1);
    for (int pass = 0; pass < 2; pass++) {
        require_text(s, before, 20, NULL);
        require_text(s, between, 20, "one");
        require_text(s, between, 21, "two");
        require_text(s, between, 22, NULL);
        require_text(s, after, 20, "four");
        require_text(s, after, 21, NULL);
        require_text(s, after, 22, "");
    }
    s->ops->unsnap(s->at, between);
    require_text(s, before, 21, NULL);
    s->ops->unsnap(s->at, before);
    s->ops->unsnap(s->at, after);
}

/* What load_many() gives for each of the records that are asked for. */
struct several {
    char text[4][64];
};

static int take_several(void *arg, size_t i, const void *bytes, size_t size)
{
    struct several *got = arg;
    T_REQUIRE(i < 4 && got->text[i][0] == '\0');
    return take_text(got->text[i], bytes, size);
}

static void check_many(lk_store *s)
{
    static const uint64_t oids[] = {31, 34, 30, 33};
    struct several got = {.text = {""}};
    uint64_t tid;
    if (s->ops->load_many == NULL)
        return;
    write_steps(s, (struct step[]){{30, "a"}, {31, "b"}, {33, "c"}}, 3);
    void *snap = snap_of(s, &tid);
    write_steps(s, (struct step[]){{30, "later"}, {31, NULL}, {34, "new"}}, 3);
    T_REQUIRE_RC(s->ops->load_many(s->at, snap, oids, 4, take_several, &got), 0);
    T_REQUIRE_STR_EQ(got.text[0], "b");
    T_REQUIRE_STR_EQ(got.text[1], "");
    T_REQUIRE_STR_EQ(got.text[2], "a");
    T_REQUIRE_STR_EQ(got.text[3], "c");
    s->ops->unsnap(s->at, snap);
}

T_TEST(many_records_are_loaded_as_one_is)
{
    on_each(check_many);
}

T_TEST(a_snapshot_sees_one_state_whatever_is_written)
{
    on_each(check_snapshots);
}

static int sees_itself(void *arg, struct lk_writing *w)
{
    lk_store *s = arg;
    uint64_t a = 0, b = 0;
    T_REQUIRE_RC(w->put(w, 30, "mine", 4), 0);
    require_text(s, w->snap, 30, "mine");
    T_REQUIRE_RC(w->put(w, 30, NULL, 0), 0);
    require_text(s, w->snap, 30, NULL);
    T_REQUIRE_RC(w->put(w, 30, "again", 5), 0);
    T_REQUIRE_RC(s->ops->oids(w, 5, &a), 0);
    T_REQUIRE_RC(s->ops->oids(w, 1, &b), 0);
    T_REQUIRE(a >= LK_OID_FIRST && b >= a + 5);
    return 0;
}

static void check_writes(lk_store *s)
{
    uint64_t tid = 0, t;
    write_steps(s, (struct step[]){{40, "kept"}}, 1);
    struct step undone[] = {{40, "lost"}, {41, "lost"}, {40, NULL}};
    T_REQUIRE_RC(s->ops->write(s->at, do_steps, &(struct steps){undone, 3, ECANCELED}, &tid),
                 ECANCELED);
    T_REQUIRE_EQ(tid, 0);
    void *snap = snap_of(s, &t);
    require_text(s, snap, 40, "kept");
    require_text(s, snap, 41, NULL);
    s->ops->unsnap(s->at, snap);
    T_REQUIRE_RC(s->ops->write(s->at, sees_itself, s, &tid), 0);
    T_REQUIRE_EQ(tid, t + 1);
    snap = snap_of(s, &t);
    require_text(s, snap, 30, "again");
    s->ops->unsnap(s->at, snap);
}

T_TEST(a_write_happens_whole_or_not_at_all)
{
    on_each(check_writes);
}

static struct timespec soon(long ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static void *write_later(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    write_steps(arg, (struct step[]){{50, "news"}}, 1);
    return NULL;
}

static void check_changes(lk_store *s)
{
    uint64_t now, then;
    pthread_t id;
    struct timespec short_while = soon(10), long_while = soon(20000);
    void *snap = snap_of(s, &now);
    s->ops->unsnap(s->at, snap);
    T_REQUIRE_RC(s->ops->changes(s->at, now, NULL, &then), ETIMEDOUT);
    T_REQUIRE_RC(s->ops->changes(s->at, now, &short_while, &then), ETIMEDOUT);
    T_REQUIRE_EQ(then, now);
    T_REQUIRE(pthread_create(&id, NULL, write_later, s) == 0);
    T_REQUIRE_RC(s->ops->changes(s->at, now, &long_while, &then), 0);
    T_REQUIRE_EQ(then, now + 1);
    pthread_join(id, NULL);
    T_REQUIRE_RC(s->ops->changes(s->at, now, NULL, &then), 0);
}

T_TEST(a_write_is_heard_of)
{
    on_each(check_changes);
}

/* ---- a file that has lost its end ----------------------------------------------------------- */

enum { LONG_RECORDS = 120, LONG_BYTES = 1000 };

static int put_long(void *arg, struct lk_writing *w)
{
    unsigned char bytes[LONG_BYTES];
    (void)arg;
    for (uint64_t i = 0; i < LONG_RECORDS; i++) {
        memset(bytes, (int)i + 1, sizeof bytes);
        int rc = w->put(w, 20 + i, bytes, sizeof bytes);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int take_long(void *arg, const void *bytes, size_t size)
{
    unsigned char mark = *(unsigned char *)arg;
    for (size_t i = 0; i < size; i++)
        if (((const unsigned char *)bytes)[i] != mark)
            return LK_ECORRUPT; /* what a checksum would say */
    return size == LONG_BYTES ? 0 : LK_ECORRUPT;
}

/* How many records are lost; -1: the store does not open. */
static int lost_records(const char *url)
{
    lk_store s;
    void *snap;
    uint64_t tid;
    int lost = 0, rc = lk_store_open(&s, url, &(struct lk_store_options){.sync = LK_SYNC_NONE});
    if (rc != 0) {
        T_REQUIRE_RC(rc, LK_ECORRUPT);
        return -1;
    }
    rc = s.ops->snap(s.at, &snap, &tid);
    T_REQUIRE(rc == 0 || rc == LK_ECORRUPT);
    for (uint64_t i = 0; rc == 0 && i < LONG_RECORDS; i++) {
        unsigned char mark = (unsigned char)(i + 1);
        int got = s.ops->load(s.at, snap, 20 + i, take_long, &mark);
        if (got != ENOENT && got != 0)
            T_REQUIRE_RC(got, LK_ECORRUPT);
        lost += got != 0;
    }
    if (rc == 0)
        s.ops->unsnap(s.at, snap);
    int wrote = s.ops->write(s.at, put_long, NULL, &tid);
    T_REQUIRE(wrote == 0 || wrote == LK_ECORRUPT);
    lk_store_close(&s);
    return rc == 0 ? lost : LONG_RECORDS;
}

/* Cut off anywhere, it is an error where something is lost, never a signal. */
T_TEST(a_file_cut_short_is_an_error_and_no_signal)
{
    char url[512], path[500], copy[500], lock[520];
    lk_store s;
    uint64_t tid;
    int refused = 0, some = 0;
    snprintf(path, sizeof path, "%s/whole", t_tmpdir());
    snprintf(copy, sizeof copy, "%s/cut", t_tmpdir());
    snprintf(lock, sizeof lock, "%s-lock", copy);
    snprintf(url, sizeof url, "lmdb:%s", path);
    if (!open_store(&s, url))
        T_SKIP("built without LMDB");
    T_REQUIRE_RC(s.ops->write(s.at, put_long, NULL, &tid), 0);
    lk_store_close(&s);
    T_REQUIRE_EQ(lost_records(url), 0);
    FILE *in = fopen(path, "rb");
    static unsigned char bytes[1 << 20];
    size_t size = in != NULL ? fread(bytes, 1, sizeof bytes, in) : 0;
    T_REQUIRE(size > LONG_RECORDS * LONG_BYTES && size < sizeof bytes);
    (void)fclose(in);
    snprintf(url, sizeof url, "lmdb:%s", copy);
    for (size_t kept = 1; kept < size; kept += 1500) {
        FILE *out = fopen(copy, "wb");
        T_REQUIRE(out != NULL && fwrite(bytes, 1, kept, out) == kept && fclose(out) == 0);
        (void)remove(lock);
        int lost = lost_records(url);
        refused += lost < 0;
        some += lost > 0;
    }
    T_LOG("%zu bytes: %d lengths refused, records missing in %d", size, refused, some);
    T_REQUIRE(refused > 0 && some > 20);
}

T_TEST(an_unknown_scheme_is_enotsup)
{
    lk_store s;
    T_REQUIRE_RC(lk_store_open(&s, "nosuch:thing", NULL), ENOTSUP);
    T_REQUIRE_RC(lk_store_open(&s, "mem:named", NULL), EINVAL);
    T_REQUIRE_RC(lk_store_open(&s, "fault:sometimes:mem:", NULL), EINVAL);
}

/* Call n of a write of two records fails; before n = 1, and after the last, all is well. */
T_TEST(the_fault_store_fails_at_call_n)
{
    int failed = 0, loads = 0;
    for (int n = 1; n <= 8; n++) {
        char url[64];
        lk_store s;
        void *snap;
        uint64_t tid = 0;
        snprintf(url, sizeof url, "fault:fail=%d:mem:", n);
        T_REQUIRE_RC(lk_store_open(&s, url, NULL), 0);
        struct step two[] = {{20, "a"}, {21, "b"}};
        int rc = s.ops->write(s.at, do_steps, &(struct steps){two, 2, 0}, &tid);
        T_REQUIRE(rc == 0 || rc == EIO);
        failed += rc == EIO;
        bool snapped = s.ops->snap(s.at, &snap, &tid) == 0;
        if (snapped) {
            T_REQUIRE_EQ(tid, rc == 0 ? 1 : 0);
            char got[64];
            int found = s.ops->load(s.at, snap, 20, take_text, got);
            T_REQUIRE(found == (rc == 0 ? 0 : ENOENT) || found == EIO);
            loads += found == EIO;
            s.ops->unsnap(s.at, snap);
        }
        lk_store_close(&s);
    }
    T_REQUIRE_EQ(failed, 4); /* begin, put, put, end */
    T_REQUIRE_EQ(loads, 1);
}
