/// expat for Swift: the library's own header, and the one encoding of old feeds that it does not know itself.
#ifndef CEXPAT_SHIMS_H
#define CEXPAT_SHIMS_H

#include <expat.h>

/// Fills `info` with windows-1252, where 0x80...0x9F differ from ISO 8859-1. Bytes without a character are errors.
static inline void cexpat_set_windows_1252(XML_Encoding *info) {
    static const int high[32] = {
        0x20AC, -1,     0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, -1,     0x017D, -1,     -1,     0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, -1,     0x017E, 0x0178,
    };
    for (int byte = 0; byte < 256; byte++) {
        info->map[byte] = byte >= 0x80 && byte < 0xA0 ? high[byte - 0x80] : byte;
    }
    info->data = 0;
    info->convert = 0;
    info->release = 0;
}

#endif
