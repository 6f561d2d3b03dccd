// Why a WebSocket ends, as its last frame says it (RFC 6455 §7.4).

/// The status of a Close frame.
package struct CloseCode: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let normal = CloseCode(rawValue: 1000)
    /// The gateway is shutting down.
    package static let goingAway = CloseCode(rawValue: 1001)
    package static let protocolError = CloseCode(rawValue: 1002)
    /// Messages are text, and this one was not.
    package static let unsupportedData = CloseCode(rawValue: 1003)
    /// Text that is not UTF-8, or compressed data that does not decompress.
    package static let invalidData = CloseCode(rawValue: 1007)
    /// The credential has ended, or there was none in time.
    package static let policyViolation = CloseCode(rawValue: 1008)
    package static let tooBig = CloseCode(rawValue: 1009)
    /// There is no room; a later attempt may succeed.
    package static let tryAgainLater = CloseCode(rawValue: 1013)

    /// Whether a peer may send it: the registered codes, without those that never stand in a frame, and the private ones.
    var maySend: Bool {
        switch self.rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        case _: false
        }
    }
}

/// What a peer did that ends its WebSocket, and what the Close frame says.
package struct WebSocketFailure: Error, Hashable, Sendable {
    package let code: CloseCode
    /// For people, in ASCII; at most 123 bytes.
    package let reason: String

    package init(_ code: CloseCode, _ reason: String) {
        self.code = code
        self.reason = reason
    }
}
