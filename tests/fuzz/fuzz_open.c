/* fuzz_open - libFuzzer's target: its input is a segment, from the header's parameters on.
 *
 *     cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_open
 *     build/fuzz/tests/fuzz/fuzz_segment --write-corpus DIR
 *     build/fuzz/tests/fuzz/fuzz_open -max_len=131072 DIR
 *
 * The first 8 bytes choose the calls; the rest is the file.  The header is mended
 * (fuzz_image_fix), so that nearly every input gets past opening. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "shm/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static unsigned char file[FUZZ_IMAGE_MAX];
    static int fd = -1;
    struct fuzz_image image = {.bytes = file};
    struct fuzz_random r;
    if (fd < 0) {
        fd = memfd_create("fuzz_open", MFD_CLOEXEC);
        if (fd < 0 || !fuzz_images_make())
            abort();
    }
    if (size < sizeof r.state + sizeof(struct lki_header) || size > FUZZ_IMAGE_MAX)
        return 0;
    memcpy(&r.state, bytes, sizeof r.state);
    image.size = size - sizeof r.state;
    memcpy(file, bytes + sizeof r.state, image.size);
    fuzz_image_fix(&image);
    if (ftruncate(fd, (off_t)image.size) != 0 ||
        pwrite(fd, file, image.size, 0) != (ssize_t)image.size)
        abort();
    struct fuzz_exercise e = {.fd = fd, .guarded = false};
    (void)fuzz_exercise(&e, image.size, &r);
    return 0;
}
