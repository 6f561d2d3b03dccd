// A field as it came, for everything that reads fields of upstreams.

/// A header field of an upstream's response. The name is in lower case; the value is byte-exact, without the
/// surrounding white space, since a validator must go back as it came (RFC 9110 §8.8.3).
package struct HeaderField: Hashable, Sendable {
    package var name: [UInt8]
    package var value: [UInt8]

    package init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}
