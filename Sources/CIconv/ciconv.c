#include "CIconv.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

int ciconv_utf8(const char *encoding, const uint8_t *bytes, size_t count, size_t limit, uint8_t **text, size_t *length,
                size_t *offset) {
    *text = NULL;
    *length = 0;
    *offset = 0;
    iconv_t converter = iconv_open("UTF-8", encoding);
    if (converter == (iconv_t)-1) return errno == ENOMEM ? CICONV_NO_MEMORY : CICONV_UNKNOWN;

    // Most text needs a half more than it has; what needs more makes the buffer grow, up to the limit.
    size_t capacity = count + count / 2 + 64;
    if (capacity > limit) capacity = limit;
    uint8_t *buffer = malloc(capacity > 0 ? capacity : 1);
    size_t used = 0;
    int result = buffer != NULL ? CICONV_OK : CICONV_NO_MEMORY;
    char *input = (char *)bytes;
    size_t left = count;
    // Once the input is through, a last call writes what a converter still holds back.
    int isFlushing = 0;
    while (result == CICONV_OK) {
        char *output = (char *)buffer + used;
        size_t room = capacity - used;
        size_t done = iconv(converter, isFlushing ? NULL : &input, isFlushing ? NULL : &left, &output, &room);
        int fault = errno;
        used = capacity - room;
        if (done != (size_t)-1) {
            if (isFlushing) break;
            isFlushing = 1;
        } else if (fault != E2BIG) {
            *offset = count - left;
            result = CICONV_INVALID;
        } else if (capacity >= limit) {
            result = CICONV_TOO_LONG;
        } else {
            size_t larger = capacity > limit / 2 ? limit : capacity * 2;
            uint8_t *grown = realloc(buffer, larger);
            if (grown == NULL) {
                result = CICONV_NO_MEMORY;
            } else {
                buffer = grown;
                capacity = larger;
            }
        }
    }
    iconv_close(converter);
    if (result != CICONV_OK) {
        free(buffer);
        return result;
    }
    *text = buffer;
    *length = used;
    return CICONV_OK;
}

void ciconv_free(uint8_t *text) { free(text); }
