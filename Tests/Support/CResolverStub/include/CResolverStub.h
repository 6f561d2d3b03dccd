/// A resolver that answers as a test tells it, for names that end in `.stub.test`. It stands before the C library's
/// getaddrinfo, which libcurl's resolving threads call, and passes every other name on. For tests only.
#ifndef CRESOLVERSTUB_H
#define CRESOLVERSTUB_H

/// Lets `name` resolve to these addresses, numeric and separated by spaces; with `code` not 0 it fails with that EAI
/// code. Any thread may call. At most 32 names of at most 63 bytes.
void cresolverstub_answer(const char *name, const char *addresses, int code);

/// Lets look-ups of `name` wait until it has an answer.
void cresolverstub_hang(const char *name);

/// How often `name` was looked up.
int cresolverstub_lookups(const char *name);

#endif
