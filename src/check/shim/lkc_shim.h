/* lkc_shim.h - included before every file of the program under test: calls that the compiler would
 * else expand without telling the checker. */
#ifndef LKC_SHIM_STRING_H
#define LKC_SHIM_STRING_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void __tsan_read_range(void *p, size_t size);
void __tsan_write_range(void *p, size_t size);
void *lkc_memcpy(void *to, const void *from, size_t n);
void *lkc_memmove(void *to, const void *from, size_t n);
void *lkc_memset(void *to, int c, size_t n);
int lkc_memcmp(const void *a, const void *b, size_t n);
size_t lkc_strlen(const char *s);
int lkc_strcmp(const char *a, const char *b);
char *lkc_strcpy(char *to, const char *from);
char *lkc_strdup(const char *s);

#ifdef LKC_PROGRAM
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strcmp
#undef strcpy
#undef strdup
#define memcpy lkc_memcpy
#define memmove lkc_memmove
#define memset lkc_memset
#define memcmp lkc_memcmp
#define strlen lkc_strlen
#define strcmp lkc_strcmp
#define strcpy lkc_strcpy
#define strdup lkc_strdup
#endif

#endif
