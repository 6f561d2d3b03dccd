// `#embed` takes a file into the program as fast as it is read, and the compiler notes that the object depends on it. A
// resource of the package (`.embedInCode`) becomes a Swift array literal instead: 12 s of compiling for 85 KB.

#include "CWeb.h"

// A part of C23, and an extension before.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char page[] = {
#embed "page/index.html"
};
static const unsigned char page_script[] = {
#embed "page/page.js"
};
static const unsigned char page_style[] = {
#embed "page/page.css"
};
static const unsigned char page_icon[] = {
#embed "page/page.svg"
};
static const unsigned char client[] = {
#embed "client/freshet.js"
};
static const unsigned char openapi[] = {
#embed "openapi.json"
};

#define FILE_OF(bytes) ((struct web_file){bytes, sizeof bytes})

struct web_file web_page(void) { return FILE_OF(page); }
struct web_file web_page_script(void) { return FILE_OF(page_script); }
struct web_file web_page_style(void) { return FILE_OF(page_style); }
struct web_file web_page_icon(void) { return FILE_OF(page_icon); }
struct web_file web_client(void) { return FILE_OF(client); }
struct web_file web_openapi(void) { return FILE_OF(openapi); }
