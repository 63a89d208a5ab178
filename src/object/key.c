/* key.c - keys that sort as the numbers, strings and tuples that they are made of.
 *
 * Numbers are big-endian; the sign bit is turned over, and of a negative double all other bits too.
 * A tuple's part is a byte for its kind and its number, or its bytes with 00 written as 00 ff, and
 * 00 at the end. */
#include <errno.h>
#include <string.h>

#include "latchkey/tree.h"

enum { KIND_INTEGER = 1, KIND_DOUBLE, KIND_BYTES, ESCAPED = 0xff };

void lk_key_uint64(unsigned char key[8], uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(key, &v, 8);
}

uint64_t lk_key_to_uint64(const unsigned char key[8])
{
    uint64_t v;
    memcpy(&v, key, 8);
    return __builtin_bswap64(v);
}

void lk_key_int64(unsigned char key[8], int64_t v)
{
    lk_key_uint64(key, (uint64_t)v ^ (UINT64_C(1) << 63));
}

int64_t lk_key_to_int64(const unsigned char key[8])
{
    return (int64_t)(lk_key_to_uint64(key) ^ (UINT64_C(1) << 63));
}

void lk_key_double(unsigned char key[8], double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    lk_key_uint64(key, bits >> 63 ? ~bits : bits | UINT64_C(1) << 63);
}

double lk_key_to_double(const unsigned char key[8])
{
    uint64_t bits = lk_key_to_uint64(key);
    double v;
    bits = bits >> 63 ? bits & ~(UINT64_C(1) << 63) : ~bits;
    memcpy(&v, &bits, 8);
    return v;
}

static int number(struct lk_tuple *t, unsigned char kind, const unsigned char key[8])
{
    if (t->room - t->size < 9)
        return ENOBUFS;
    t->at[t->size] = kind;
    memcpy(t->at + t->size + 1, key, 8);
    t->size += 9;
    return 0;
}

int lk_tuple_int64(struct lk_tuple *t, int64_t v)
{
    unsigned char key[8];
    lk_key_int64(key, v);
    return number(t, KIND_INTEGER, key);
}

int lk_tuple_double(struct lk_tuple *t, double v)
{
    unsigned char key[8];
    lk_key_double(key, v);
    return number(t, KIND_DOUBLE, key);
}

int lk_tuple_bytes(struct lk_tuple *t, struct lk_bytes v)
{
    const unsigned char *p = v.at;
    size_t need = v.size + 2;
    for (size_t i = 0; i < v.size; i++)
        need += p[i] == 0;
    if (t->room - t->size < need)
        return ENOBUFS;
    unsigned char *to = t->at + t->size;
    *to++ = KIND_BYTES;
    for (size_t i = 0; i < v.size; i++) {
        *to++ = p[i];
        if (p[i] == 0)
            *to++ = ESCAPED;
    }
    *to = 0;
    t->size += need;
    return 0;
}
