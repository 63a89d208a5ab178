/* sqlite_threads.c - several threads write and read one SQLite database, through one connection and
 * through connections of their own with a shared cache; SQLite guards both with pthread mutexes.
 * Exit 1 if the sums are wrong. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, ROWS = 1500 };
#define NAME "file:lk?mode=memory&cache=shared"

static sqlite3 *common;

static void must(sqlite3 *db, int rc, const char *what)
{
    if (rc == SQLITE_OK)
        return;
    (void)fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(db));
    exit(1);
}

static sqlite3 *connect_to(void)
{
    sqlite3 *db = NULL;
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_FULLMUTEX;
    must(db, sqlite3_open_v2(NAME, &db, flags, NULL), "open");
    (void)sqlite3_busy_timeout(db, 10000);
    return db;
}

static int one_number(void *arg, int columns, char **values, char **names)
{
    (void)columns;
    (void)names;
    *(long *)arg = values[0] == NULL ? 0 : atol(values[0]);
    return 0;
}

static long ask(sqlite3 *db, const char *sql)
{
    long answer = -1;
    must(db, sqlite3_exec(db, sql, one_number, &answer, NULL), sql);
    return answer;
}

static void *insert(void *arg)
{
    char sql[96];
    for (int i = 0; i < ROWS; i++) {
        (void)snprintf(sql, sizeof sql, "insert into t values (%d, %d)", (int)(long)arg, i);
        must(common, sqlite3_exec(common, sql, NULL, NULL, NULL), sql);
        if (i % 16 == 0)
            (void)ask(common, "select count(*) from t");
    }
    return NULL;
}

/* Shared-cache readers meet in the cache's own mutexes. */
static void *read_all(void *arg)
{
    sqlite3 *db = connect_to();
    for (int i = 0; i < 100; i++)
        (void)ask(db, "pragma read_uncommitted = 1; select count(*) from t where v % 7 = 3");
    must(db, sqlite3_close(db), "close");
    return arg;
}

int main(void)
{
    pthread_t t[2 * THREADS];
    must(NULL, sqlite3_config(SQLITE_CONFIG_SERIALIZED), "serialized");
    common = connect_to();
    (void)ask(common, "create table t (who int, v int)");
    for (long i = 0; i < THREADS; i++) {
        (void)pthread_create(&t[i], NULL, insert, (void *)i);
        (void)pthread_create(&t[THREADS + i], NULL, read_all, NULL);
    }
    for (int i = 0; i < 2 * THREADS; i++)
        (void)pthread_join(t[i], NULL);
    long rows = ask(common, "select count(*) from t"), sum = ask(common, "select sum(v) from t");
    must(common, sqlite3_close(common), "close");
    (void)printf("%ld rows, sum %ld\n", rows, sum);
    return rows == (long)THREADS * ROWS && sum == (long)THREADS * ROWS * (ROWS - 1) / 2 ? 0 : 1;
}
