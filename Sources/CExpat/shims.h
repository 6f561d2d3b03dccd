/// expat for Swift: the library's own header, with the limits on what entities expand to.
#ifndef CEXPAT_SHIMS_H
#define CEXPAT_SHIMS_H

// expat before 2.6 declares those functions only under this name, which every distribution builds it with.
#ifndef XML_DTD
#define XML_DTD
#endif
#include <expat.h>

#endif
