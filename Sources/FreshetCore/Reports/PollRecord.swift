// The last poll of a source as a person wants to see it: how it ended, where its time went, what was said.

package import HTTPFields

/// What one request to an upstream took, and what both sides said. Made by who carried it out. Holds no secret: fields
/// whose value is or may be one are named without it.
package struct ExchangeTrace: Hashable, Sendable {
    /// Parts of the request's time, in milliseconds; zero for what a kept connection had done before.
    package struct Timing: Hashable, Sendable {
        package var dns: Double
        package var connect: Double
        package var tls: Double
        /// From the connection to the first byte of the answer.
        package var firstByte: Double
        package var download: Double

        package init(dns: Double = 0, connect: Double = 0, tls: Double = 0, firstByte: Double = 0, download: Double = 0)
        {
            (self.dns, self.connect, self.tls) = (dns, connect, tls)
            (self.firstByte, self.download) = (firstByte, download)
        }
    }

    package struct Field: Hashable, Sendable {
        package var name: String
        /// `nil` for one that is not shown.
        package var value: String?

        package init(_ name: String, _ value: String?) {
            self.name = name
            self.value = value
        }
    }

    /// `HTTP/1.1`, `HTTP/2`; `nil` where no answer came.
    package var version: String?
    package var status: Int?
    /// A connection was opened for it.
    package var isNewConnection: Bool
    package var timing: Timing
    /// The method and the target, then the fields.
    package var request: [Field]
    /// As they came: they are made text where they are shown, so that a poll that nobody looks at costs nothing.
    package var received: [HeaderField]
    /// Until when the upstream's certificate holds. `nil` unless that was asked for, and on a connection that was kept.
    package var certificateEnd: WallTime?

    package var response: [Field] {
        self.received.map { Field(String(decoding: $0.name, as: UTF8.self), Self.shown($0.value)) }
    }

    package init(
        version: String? = nil,
        status: Int? = nil,
        isNewConnection: Bool = true,
        timing: Timing = Timing(),
        request: [Field] = [],
        received: [HeaderField] = [],
        certificateEnd: WallTime? = nil
    ) {
        self.version = version
        self.status = status
        self.isNewConnection = isNewConnection
        self.timing = timing
        self.request = request
        self.received = received
        self.certificateEnd = certificateEnd
    }

    /// The value of the last field of this name in the answer, in lower case and as it came.
    package func value(of name: String) -> [UInt8]? {
        self.received.last { $0.name.elementsEqual(name.utf8) }?.value
    }

    /// The most fields of either side that are kept, and the most bytes of a value.
    package static let maxFields = 32
    package static let maxValueBytes = 512

    /// A value as it is kept: cut, and without what a URL in it may hold.
    package static func shown(_ value: [UInt8]) -> String {
        let text = String(decoding: value.prefix(Self.maxValueBytes), as: UTF8.self)
        return URLRedaction.redacted(value.count > Self.maxValueBytes ? text + "…" : text)
    }
}

/// The last poll of a source that ended.
package struct PollRecord: Hashable, Sendable {
    package var at: WallTime
    package var outcome: PollOutcome
    /// Body bytes received, before decoding.
    package var bytes: Int
    /// Of the last request of the poll; `nil` where none was made.
    package var trace: ExchangeTrace?

    package init(at: WallTime, outcome: PollOutcome, bytes: Int, trace: ExchangeTrace?) {
        self.at = at
        self.outcome = outcome
        self.bytes = bytes
        self.trace = trace
    }
}

extension SourceStateMachine {
    /// A poll of this source ended.
    package mutating func pollRecorded(_ record: PollRecord) {
        self.status.lastPoll = record
    }
}
