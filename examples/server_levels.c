/* server_levels.c - a server with three levels of locks: table, session, log.  Locking them in
 * another order does not compile; neither does calling log_line() with the log locked.
 *
 *     cc server_levels.c $(pkg-config --cflags --libs latchkey) */
#include <latchkey/latchkey.h>
#include <pthread.h>
#include <stdio.h>

LK_LEVEL(table, 10);
LK_LEVEL(session, 20);
LK_LEVEL(logging, 30);

enum { SESSIONS = 8, THREADS = 4, REQUESTS = 4000 };

struct session {
    lk_mutex_at_session lock;
    long requests;
};

static lk_rwlock_at_table table_lock;
static struct session sessions[SESSIONS];
static lk_mutex_at_logging log_lock;
static long lines;

/* To be called with a session locked. */
static void log_line(lk_at_session key)
{
    lk_scope_level (key, logging, &log_lock)
        lines++;
}

static void serve(lk_key key, unsigned number)
{
    lk_scope_level_read (key, table, &table_lock) {
        struct session *s = &sessions[number % SESSIONS];
        lk_scope_level (key, session, &s->lock) {
            s->requests++;
            if (s->requests % 100 == 0)
                log_line(key);
        }
    }
}

static void *worker(void *arg)
{
    lk_key key = lk_key_take();
    for (unsigned i = 0; i < REQUESTS; i++)
        serve(key, i * 7);
    lk_key_give(key);
    return arg;
}

int main(void)
{
    pthread_t id[THREADS];
    long served = 0;
    for (int t = 0; t < THREADS; t++)
        if (pthread_create(&id[t], NULL, worker, NULL) != 0)
            return 1;
    for (int t = 0; t < THREADS; t++)
        if (pthread_join(id[t], NULL) != 0)
            return 1;
    for (int i = 0; i < SESSIONS; i++)
        served += sessions[i].requests;
    printf("%ld requests served, %ld lines logged\n", served, lines);
    return 0;
}
