/* Two in a row are killed: a writer at any of its steps, then whoever repairs after it, at any step
 * of the repair or of its own change.  The third finds a shard that it can repair.  What was
 * finished stays, what was not is there or not as a whole, nothing leaks.
 *
 * Sources: @cache
 * Run: --deaths 2
 */
#include "tiny_cache.h"

enum { FIRST = 7, SECOND = 8, THIRD = 9 };

static bool finished[3];

static void *writer(void *arg)
{
    uintptr_t number = (uintptr_t)arg;
    (void)become_process(true);
    switch (number) {
    case 1:
        assert(set(SECOND, 2) == 0);
        break;
    default:
        assert(lk_cache_delete(&cache, &(uint64_t){FIRST}, sizeof(uint64_t)) == 0);
        break;
    }
    finished[number] = true;
    return arg;
}

int main(void)
{
    make_cache();
    (void)become_process(false);
    assert(set(FIRST, 1) == 0);
    for (uintptr_t number = 1; number <= 2; number++) {
        pthread_t id;
        pthread_create(&id, NULL, writer, (void *)number);
        pthread_join(id, NULL);
    }
    uint64_t first = get(FIRST), second = get(SECOND);
    assert(finished[2] ? first == 0 : first <= 1);
    assert(finished[1] ? second == 2 : second == 0 || second == 2);
    assert(set(THIRD, 3) == 0);
    assert(get(THIRD) == 3);
    uint64_t repairs = lki_mine->record[LKI_REPAIRS];
    assert(set(THIRD, 4) == 0);
    assert(lki_mine->record[LKI_REPAIRS] == repairs); /* once is enough */
    check_all();
    return 0;
}
