/* crc32c.h - CRC-32C (Castagnoli), by the processor's instruction where it has one.
 * Source: G. Castagnoli et al., 1993; RFC 3720, B.4 (test vectors). */
#ifndef LKI_CRC32C_H
#define LKI_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t lki_crc32c(const void *bytes, size_t size);

#endif
