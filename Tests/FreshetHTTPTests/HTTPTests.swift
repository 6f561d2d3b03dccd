// The room's tests run one after the other: each has a gateway of its own, and short deadlines mean something only to
// a machine that is not busy with all of the others.

import Testing

@Suite("HTTP", .serialized, .everyTransport)
enum HTTPTests {}
