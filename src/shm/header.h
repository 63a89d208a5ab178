/* header.h - the first page of a segment: what it must say, and mapping what it describes. */
#ifndef LKI_HEADER_H
#define LKI_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/segment.h"

/* Byte order and word size of this machine. */
uint32_t lki_abi(void);

/* The id of this boot of the machine. */
int lki_boot_id(uint8_t id[16]);

/* The size of the file that the header describes.  False if that is no size. */
bool lki_header_file_size(const struct lki_header *h, uint64_t *size);

/* Map the file, whose header was checked, and make the presence.  On success *s owns fd. */
int lki_segment_map(struct lki_segment *s, int fd, const struct lki_header *h, bool writable);

#endif
