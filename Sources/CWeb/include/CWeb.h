#ifndef CWEB_H
#define CWEB_H

#include <stddef.h>

/// A file beside `files.c`, as it was when the program was built. The bytes live as long as the program and never change.
struct web_file {
    const unsigned char *bytes;
    size_t count;
};

/// The operators' page.
struct web_file web_page(void);
struct web_file web_page_script(void);
struct web_file web_page_style(void);
struct web_file web_page_icon(void);
/// The client for browsers.
struct web_file web_client(void);
/// The description of the interface.
struct web_file web_openapi(void);

#endif
