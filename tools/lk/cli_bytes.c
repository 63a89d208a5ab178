/* cli_bytes.c - bytes as text and back: escapes, hexadecimal digits, base64. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* The UTF-8 character that begins at p: its length, and its code point in *c; 0 if it is none. */
static size_t utf8_character(const unsigned char *p, size_t n, uint32_t *c)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (length == 0 || length > n || p[0] > 0xf4)
        return 0;
    uint32_t code = length == 1 ? p[0] : p[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    *c = code;
    return length;
}

/* What does not show as itself: controls, and the invisible characters that turn text around. */
static bool printable(uint32_t c)
{
    return c >= 0x20 && c != 0x7f && !(c >= 0x80 && c < 0xa1) && c != 0xad && c != 0x61c &&
           !(c >= 0x200b && c < 0x2010) && !(c >= 0x2028 && c < 0x202f) &&
           !(c >= 0x2060 && c < 0x2070) && !(c >= 0xd800 && c < 0xf900) && c != 0xfeff &&
           !(c >= 0xfff0 && c < 0x10000) && c < 0xe0000;
}

/* One character or byte at p as text (at most 5 bytes and a zero); how many bytes it was. */
static size_t escape_one(const unsigned char *p, size_t n, char text[8])
{
    uint32_t c = 0;
    size_t length = utf8_character(p, n, &c);
    if (p[0] == '\\' || p[0] == '\n' || p[0] == '\r' || p[0] == '\t') {
        text[0] = '\\';
        text[1] = p[0] == '\n' ? 'n' : p[0] == '\r' ? 'r' : p[0] == '\t' ? 't' : '\\';
        text[2] = '\0';
        return 1;
    }
    if (length > 0 && printable(c)) {
        memcpy(text, p, length);
        text[length] = '\0';
        return length;
    }
    snprintf(text, 8, "\\x%02x", p[0]);
    return 1;
}

void cli_put_escaped(FILE *out, const void *data, size_t size)
{
    const unsigned char *p = data;
    char text[8];
    for (size_t i = 0; i < size;) {
        i += escape_one(p + i, size - i, text);
        fputs(text, out);
    }
}

char *cli_escaped(const void *data, size_t size)
{
    const unsigned char *p = data;
    char *text = malloc(4 * size + 8), *end = text;
    for (size_t i = 0; text != NULL && i < size; end += strlen(end))
        i += escape_one(p + i, size - i, end);
    if (text != NULL)
        *end = '\0';
    return text;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* A two-digit byte at p, or -1. */
static int hex_byte(const char *p)
{
    int high = hex_digit(p[0]);
    int low = high < 0 ? -1 : hex_digit(p[1]);
    return low < 0 ? -1 : high * 16 + low;
}

/* Room for what `text` can at most become. */
static bool begin_bytes(const char *text, struct cli_bytes *out)
{
    out->size = 0;
    out->data = malloc(strlen(text) + 1);
    return out->data != NULL;
}

static bool no_bytes(struct cli_bytes *out)
{
    free(out->data);
    *out = (struct cli_bytes){NULL, 0};
    return false;
}

bool cli_unescape(const char *text, struct cli_bytes *out)
{
    if (!begin_bytes(text, out))
        return false;
    for (const char *p = text; *p != '\0'; p++) {
        int byte = (unsigned char)*p;
        if (*p == '\\') {
            p++;
            byte = *p == 'n' ? '\n' : *p == 'r' ? '\r' : *p == 't' ? '\t' : *p == '\\' ? '\\' : -1;
            if (*p == 'x') {
                byte = hex_byte(p + 1);
                p += byte < 0 ? 0 : 2;
            }
            if (byte < 0)
                return no_bytes(out);
        }
        out->data[out->size++] = (unsigned char)byte;
    }
    return true;
}

bool cli_unhex(const char *text, struct cli_bytes *out)
{
    if (!begin_bytes(text, out))
        return false;
    for (const char *p = text; *p != '\0';) {
        if (*p == ' ' || *p == '\n' || *p == '\t') {
            p++;
            continue;
        }
        int byte = hex_byte(p);
        if (byte < 0)
            return no_bytes(out);
        out->data[out->size++] = (unsigned char)byte;
        p += 2;
    }
    return true;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool cli_unbase64(const char *text, struct cli_bytes *out)
{
    if (strlen(text) % 4 != 0 || !begin_bytes(text, out))
        return false;
    for (const char *p = text; *p != '\0'; p += 4) {
        uint32_t group = 0;
        int bytes = p[4] != '\0' || p[3] != '=' ? 3 : p[2] != '=' ? 2 : 1;
        for (int i = 0; i < 4; i++) {
            const char *digit = i <= bytes ? memchr(base64_digits, p[i], 64) : base64_digits;
            if (digit == NULL)
                return no_bytes(out);
            group = group << 6 | (uint32_t)(digit - base64_digits);
        }
        for (int i = 0; i < bytes; i++)
            out->data[out->size++] = (unsigned char)(group >> (16 - 8 * i));
    }
    return true;
}

static char *base64(const unsigned char *p, size_t n)
{
    char *text = malloc((n + 2) / 3 * 4 + 1), *end = text;
    for (size_t i = 0; text != NULL && i < n; i += 3) {
        uint32_t group = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
                         (i + 2 < n ? p[i + 2] : 0);
        *end++ = base64_digits[group >> 18];
        *end++ = base64_digits[group >> 12 & 63];
        *end++ = i + 1 < n ? base64_digits[group >> 6 & 63] : '=';
        *end++ = i + 2 < n ? base64_digits[group & 63] : '=';
    }
    if (text != NULL)
        *end = '\0';
    return text;
}

void cli_json_set_bytes(struct json_t *object, const char *name, const void *data, size_t size)
{
    json_t *text = json_stringn(size > 0 ? data : "", size); /* NULL: not UTF-8 */
    if (text != NULL) {
        json_object_set_new(object, name, text);
        return;
    }
    char field[64];
    snprintf(field, sizeof field, "%s_base64", name);
    char *encoded = base64(data, size);
    if (encoded != NULL)
        json_object_set_new(object, field, json_string(encoded));
    free(encoded);
}

bool cli_read_all(FILE *in, struct cli_bytes *out)
{
    size_t room = 65536;
    *out = (struct cli_bytes){malloc(room), 0};
    while (out->data != NULL) {
        out->size += fread(out->data + out->size, 1, room - out->size, in);
        if (ferror(in))
            break;
        if (feof(in))
            return true;
        if (out->size == room) {
            unsigned char *larger = realloc(out->data, room *= 2);
            if (larger == NULL)
                break;
            out->data = larger;
        }
    }
    int why = out->data == NULL || !ferror(in) ? ENOMEM : errno;
    no_bytes(out);
    errno = why;
    return false;
}
