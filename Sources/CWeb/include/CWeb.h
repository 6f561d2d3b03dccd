#ifndef CWEB_H
#define CWEB_H

#include <stddef.h>

/// A file beside `files.c`, as it was when the program was built. Name and bytes live as long as the program.
struct web_file {
    /// The path below this folder, such as `client/freshet.js`.
    const char *name;
    const unsigned char *bytes;
    size_t count;
};

/// File number `index`; one without a name behind the last.
struct web_file web_file_at(size_t index);

#endif
