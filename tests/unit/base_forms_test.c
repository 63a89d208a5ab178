/* The other forms of base/copy.c and base/crc32c.c: those for machines and builds that have not
 * the instructions of this one.  The sources are included under other names, so that both are at
 * hand. Runs in: dev clang coverage */
#define LKI_COPY_PORTABLE 1
#define lki_copy_out portable_copy_out
#define lki_copy_in portable_copy_in
#define lki_copy_equal portable_copy_equal
#define lki_crc32c included_crc32c
#include "base/copy.c"
#include "base/crc32c.c"
#undef lki_copy_out
#undef lki_copy_in
#undef lki_copy_equal
#undef lki_crc32c

#include "test.h"

uint32_t lki_crc32c(const void *bytes, size_t size);
void lki_copy_out(void *dst, const void *shared, size_t n);
bool lki_copy_equal(const void *shared, const void *src, size_t n);

enum { SIZES = 400, SHIFTS = 9, ROOM = SIZES + 3 * SHIFTS };

T_TEST(both_forms_copy_alike)
{
    static char from[ROOM], a[ROOM], b[ROOM], c[ROOM];
    for (size_t i = 0; i < ROOM; i++)
        from[i] = (char)(i * 29 + 3);
    for (size_t n = 0; n <= SIZES; n++) {
        for (size_t x = 0; x < SHIFTS; x++) {
            size_t y = (x * 5 + n) % SHIFTS;
            memset(a, 1, ROOM);
            memset(b, 1, ROOM);
            memset(c, 1, ROOM);
            lki_copy_out(a + x, from + y, n);
            portable_copy_out(b + x, from + y, n);
            portable_copy_in(c + x, from + y, n);
            T_REQUIRE(memcmp(a, b, ROOM) == 0 && memcmp(a, c, ROOM) == 0);
            T_REQUIRE(portable_copy_equal(a + x, from + y, n));
            if (n == 0)
                continue;
            a[x + n * 7 % n] ^= 4;
            T_REQUIRE(!portable_copy_equal(a + x, from + y, n));
            T_REQUIRE(!lki_copy_equal(a + x, from + y, n));
        }
    }
}

T_TEST(both_forms_of_the_checksum_agree)
{
    static unsigned char in[3000];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)(i * i + 11);
    for (size_t n = 0; n < sizeof in - 8; n++)
        T_REQUIRE_EQ(by_bits(in + n % 8, n), lki_crc32c(in + n % 8, n));
    T_REQUIRE_EQ(by_bits((const unsigned char *)"123456789", 9), 0xe3069283);
    T_REQUIRE_EQ(included_crc32c("123456789", 9), 0xe3069283);
}
