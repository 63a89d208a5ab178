/* rmutex.c - a robust mutex and the state it guards, in a segment of your own: a bank.
 *
 * Processes move money between accounts; each is killed with SIGKILL in the middle of a transfer.
 * Whoever locks the mutex next is told so (EOWNERDEAD), takes the half-done transfer back from the
 * note that it left, declares the state consistent, and goes on.  No money is made or lost. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <latchkey/latchkey.h>

enum { ACCOUNTS = 8, START = 1000, DEATHS = 50 };

/* volatile: the compiler keeps the order of our steps, and with it what a death can leave
 * behind. */
struct bank {
    lk_rmutex mutex; /* guards what follows; zero bytes are an unlocked one */
    volatile struct {
        int pending; /* 1: a transfer is under way, and this is what was before it */
        int from, to;
        long from_before, to_before;
    } note;
    volatile long balance[ACCOUNTS];
    volatile unsigned long transfers;
};

/* The state after EOWNERDEAD: undo what the dead holder had begun.  May itself be killed: doing it
 * again gives the same. */
static void repair(struct bank *b)
{
    if (!b->note.pending)
        return;
    b->balance[b->note.from] = b->note.from_before;
    b->balance[b->note.to] = b->note.to_before;
    b->note.pending = 0;
}

static int lock(struct bank *b)
{
    int rc = lk_rmutex_lock(&b->mutex);
    if (rc == EOWNERDEAD) {
        repair(b);
        rc = lk_rmutex_consistent(&b->mutex);
    }
    return rc;
}

static void transfer(struct bank *b, int from, int to, long amount, int die)
{
    b->note.from = from;
    b->note.to = to;
    b->note.from_before = b->balance[from];
    b->note.to_before = b->balance[to];
    b->note.pending = 1;
    b->balance[from] -= amount;
    if (die)
        raise(SIGKILL); /* the money has left one account and reached none */
    b->balance[to] += amount;
    b->note.pending = 0;
    b->transfers++;
}

static void worker(struct bank *b, int n)
{
    for (int i = 0; i < 100; i++) {
        if (lock(b) != 0)
            _exit(1);
        transfer(b, (n + i) % ACCOUNTS, (n + 3 * i + 1) % ACCOUNTS, 1 + i % 7, i == 99);
        lk_rmutex_unlock(&b->mutex);
    }
    _exit(1);
}

int main(void)
{
    lk_seg *segment;
    int rc = lk_seg_create_anonymous(&segment, sizeof(struct bank), 0);
    if (rc != 0) {
        fprintf(stderr, "segment: %s (%s)\n", lk_strerror(rc), lk_error_text());
        return 1;
    }
    struct bank *b = lk_seg_memory(segment);
    for (int i = 0; i < ACCOUNTS; i++)
        b->balance[i] = START;
    int killed = 0, status;
    for (int n = 0; n < DEATHS; n++)
        if (fork() == 0)
            worker(b, n);
    while (wait(&status) > 0)
        killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;

    rc = lock(b);
    long total = 0;
    for (int i = 0; rc == 0 && i < ACCOUNTS; i++)
        total += b->balance[i];
    printf("%d processes killed inside a transfer, %lu transfers done, %ld of %d coins there\n",
           killed, b->transfers, total, ACCOUNTS * START);
    lk_rmutex_unlock(&b->mutex);
    lk_seg_close(segment);
    return rc == 0 && killed == DEATHS && total == (long)ACCOUNTS * START ? 0 : 1;
}
