/* Memory is freed twice.
 * Options: --deaths 0
 * Expect: bad-free */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    void *p = malloc(8);
    free(p);
    free(p);
    return 0;
}
