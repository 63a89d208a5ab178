/* An address book with an index by town, filled by four processes while one of them is killed:
 * every entry that is there is in the index, and the index names none that is not there. */
#include <latchkey/db.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLERKS = 4, ENTRIES = 50 };
static char url[300];

static struct lk_bytes text(const char *s)
{
    return (struct lk_bytes){s, strlen(s)};
}

/* The key of an index entry sorts by town, then by name. */
static struct lk_bytes index_key(unsigned char room[128], const char *town, const char *name)
{
    struct lk_tuple t = {room, 0, 128};
    if (lk_tuple_bytes(&t, text(town)) != 0 || lk_tuple_bytes(&t, text(name)) != 0)
        abort();
    return (struct lk_bytes){t.at, t.size};
}

/* Both trees change in one transaction, or neither does. */
static int add(lk_db *db, const char *name, const char *town)
{
    unsigned char room[128];
    lk_txn *x;
    lk_tree *people, *towns;
    int rc = lk_txn_begin(db, &x);
    if (rc != 0)
        return rc;
    rc = lk_txn_tree(x, "people", NULL, &people);
    if (rc == 0)
        rc = lk_txn_tree(x, "by town", NULL, &towns);
    if (rc == 0)
        rc = lk_tree_put(people, text(name), text(town), NULL);
    if (rc == 0)
        rc = lk_tree_put(towns, index_key(room, town, name), text(""), NULL);
    if (rc == 0)
        rc = lk_txn_commit(x, NULL);
    if (rc != 0)
        lk_txn_abort(x);
    return rc;
}

static int clerk(int number)
{
    static const char *const towns[] = {"Ulm", "Bern", "Gent"};
    lk_db *db;
    int rc = lk_db_open(&db, url, &(struct lk_db_options){.store.sync = LK_SYNC_NONE});
    if (rc != 0)
        return 1;
    for (int i = 0; i < ENTRIES && rc == 0; i++) {
        char name[32];
        snprintf(name, sizeof name, "person %d-%02d", number, i);
        if (number == 0 && i == ENTRIES / 2)
            kill(getpid(), SIGKILL); /* the power cord, say */
        rc = add(db, name, towns[i % 3]);
    }
    lk_db_close(db);
    return rc != 0;
}

/* How many people there are; each must be in the index, which has no other. */
static int audit(lk_db *db, uint64_t *people_count)
{
    unsigned char room[128];
    lk_view *v;
    lk_tree *people, *towns;
    lk_cursor c;
    struct lk_bytes key, value, found;
    uint64_t indexed = 0;
    if (lk_db_view(db, &v) != 0 || lk_view_tree(v, "people", &people) != 0 ||
        lk_view_tree(v, "by town", &towns) != 0 || lk_section_begin() != 0)
        return 1;
    int rc = lk_tree_count(people, NULL, people_count);
    if (rc == 0)
        rc = lk_tree_count(towns, NULL, &indexed);
    int missing = rc != 0 || indexed != *people_count;
    if (lk_cursor_begin(&c, people, NULL, false) == 0) {
        while (lk_cursor_next(&c, &key, &value) == 0) {
            char name[64], town[64];
            snprintf(name, sizeof name, "%.*s", (int)key.size, (const char *)key.at);
            snprintf(town, sizeof town, "%.*s", (int)value.size, (const char *)value.at);
            missing += lk_tree_get(towns, index_key(room, town, name), &found) != 0;
        }
        lk_cursor_end(&c);
    }
    lk_section_end();
    lk_view_end(v);
    return missing;
}

int main(void)
{
    const char *place = getenv("LK_DIR");
    int killed = 0, failed = 0, status;
    uint64_t people = 0;
    lk_db *db;
    snprintf(url, sizeof url, "lmdb:%.200s/addresses.%d", place != NULL ? place : "/tmp", getpid());
    for (int i = 0; i < CLERKS; i++)
        if (fork() == 0)
            _exit(clerk(i));
    while (wait(&status) > 0) {
        killed += WIFSIGNALED(status);
        failed += WIFEXITED(status) && WEXITSTATUS(status) != 0;
    }
    if (lk_db_open(&db, url, NULL) != 0) {
        fprintf(stderr, "%s\n", lk_error_text());
        return 1;
    }
    int wrong = audit(db, &people);
    lk_db_close(db);
    printf("%d people by %d clerks, %d killed; index %s\n", (int)people, CLERKS, killed,
           wrong == 0 && failed == 0 ? "complete" : "BROKEN");
    return wrong != 0 || failed != 0;
}
