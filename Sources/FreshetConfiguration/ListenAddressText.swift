// Where to listen, as people write it, and what to say where it is wrong.

package import System

package enum ListenAddressText {
    /// Why a text is no address to listen on.
    package struct Failure: Error, Hashable, Sendable {
        package var what: String
        package var fix: String
    }

    /// Reads `HOST:PORT`, `[IPv6]:PORT`, `:PORT` for every IPv4 address, or `unix:PATH`.
    ///
    /// - Throws: ``Failure`` with the spelling that was probably meant.
    package static func parse(_ text: String) throws(Failure) -> ListenAddress {
        let example = "write HOST:PORT such as 127.0.0.1:8080"
        if text.hasPrefix("unix:") {
            guard let address = ListenAddress(text) else {
                throw Failure(what: "the path of a unix socket has 1 to 107 bytes", fix: "write unix:/run/freshet.sock")
            }
            return address
        }
        if let port = WholeNumber.parse(text) {
            throw Failure(
                what: "a port alone is not an address",
                fix: "write 127.0.0.1:\(port), or :\(port) for every address"
            )
        }
        guard let colon = text.lastIndex(of: ":"),
            let port = WholeNumber.parse(String(text[text.index(after: colon)...])), port <= 65_535
        else { throw Failure(what: "no port from 0 to 65535 at its end", fix: example) }
        let host = text[..<colon]
        if host.contains(":"), !host.hasPrefix("[") {
            throw Failure(what: "an IPv6 address without brackets", fix: "write [\(host)]:\(port)")
        }
        guard host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }),
            let address = ListenAddress(text)
        else { throw Failure(what: "not a host name or address", fix: example) }
        return address
    }
}
