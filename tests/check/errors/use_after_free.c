/* Memory is read after it was freed, in one thread.
 * Options: --deaths 0
 * Expect: use-after-free */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    int *p = malloc(sizeof *p);
    *p = 1;
    free(p);
    return *p;
}
