// Follows streams of a gateway, line by line, and resumes where it was when the connection breaks.

import FreshetConfiguration
import FreshetCore
import JSON
import System

/// One line of an `application/x-ndjson` stream.
struct StreamLine: Sendable {
    /// `snapshot`, `patch`, `status`, …
    var event: String
    /// The cursor, for the events that have one.
    var id: String?
    var data: Document?
    /// The whole line, without its end.
    var text: [UInt8]

    /// `nil` for what is not a JSON object with an `event`.
    init?(_ text: [UInt8]) {
        guard let document = try? Document(parsing: text), let event = document.root["event"]?.string else {
            return nil
        }
        self.event = event
        self.id = document.root["id"]?.string
        self.data = document.root["data"]?.document
        self.text = text
    }
}

/// Reads a stream for ever. Confined to the thread that runs it, which it blocks.
struct StreamFollower {
    /// How one connection ended.
    enum End {
        /// The reader has enough.
        case finished
        /// Trying again does not help.
        case refused(String)
        case interrupted(String)
    }

    /// What the follower tells.
    enum Event {
        case line(StreamLine)
        /// The connection is gone; the follower tries again after `delay`.
        case interrupted(reason: String, delay: Duration)
    }

    let target: GatewayOptions.Target
    /// As in the path: names with commas between them, `*` at the end of one for any.
    let sources: String
    /// `patch`, `merge`, `items` or `snapshot`.
    var mode = "patch"
    /// Where to begin: a cursor, `latest`, `earliest`; with a snapshot where absent.
    var since: String?
    /// Follows over a WebSocket, and not a stream of JSON lines.
    var usesSocket = false

    var failures = 0
    private var generator = SystemRandomNumberGenerator()

    /// Silence after which the gateway counts as gone; its heartbeats come more often.
    private static let silence = Duration.seconds(60)
    /// The longest line; a snapshot is one.
    static let maxLineBytes = 256 << 20

    init(target: GatewayOptions.Target, sources: String) {
        self.target = target
        self.sources = sources
    }

    /// Follows until `take` says no.
    ///
    /// - Returns: Why the gateway refuses, where trying again does not help; `nil` where `take` ended it.
    mutating func run(_ take: (Event) -> Bool) -> String? {
        while true {
            switch self.connectOnce(take) {
            case .finished: return nil
            case .refused(let reason): return reason
            case .interrupted(let reason):
                let delay = self.nextDelay()
                guard take(.interrupted(reason: reason, delay: delay)) else { return nil }
                SystemThread.sleep(delay)
            }
        }
    }

    private mutating func connectOnce(_ take: (Event) -> Bool) -> End {
        do throws(GatewayConnectionError) {
            let connection = try GatewayConnection(self.target.address, timeout: Self.silence)
            guard !self.usesSocket else { return try self.followSocket(connection, take) }
            var fields = [("Accept", "application/x-ndjson")] + self.target.fields.map { ($0.name, $0.value) }
            if let since = self.since { fields.append(("Last-Event-ID", since)) }
            let path = "/v1/streams/\(self.sources)?mode=\(self.mode)"
            let head = try connection.get(path, fields: fields, address: self.target.address)
            guard head.status == 200 else { return try Self.refusal(connection, status: head.status) }
            return try self.read(connection, take) ? .interrupted("the stream ended") : .finished
        } catch {
            return .interrupted(error.description)
        }
    }

    /// Reads lines until the stream ends.
    ///
    /// - Returns: `false` where `take` has enough.
    private mutating func read(
        _ connection: GatewayConnection,
        _ take: (Event) -> Bool
    ) throws(GatewayConnectionError) -> Bool {
        var rest: [UInt8] = []
        while let bytes = try connection.next() {
            self.failures = 0
            rest.append(contentsOf: bytes)
            guard rest.count <= Self.maxLineBytes else {
                throw GatewayConnectionError(description: "a line without end")
            }
            // Only the new bytes can hold the end of a line.
            guard bytes.contains(0x0A) else { continue }
            var lines = rest.split(separator: 0x0A, omittingEmptySubsequences: false)
            rest = Array(lines.popLast() ?? [])
            for line in lines {
                guard let line = StreamLine(Array(line)), line.event != "heartbeat" else { continue }
                self.since = line.id ?? self.since
                guard take(.line(line)) else { return false }
            }
        }
        return true
    }

    /// What an answer says that is no stream.
    static func refusal(_ connection: GatewayConnection, status: Int) throws(GatewayConnectionError) -> End {
        self.end(status, try self.problem(connection, status: status))
    }

    /// Whether trying again helps after a refusal of this status.
    static func end(_ status: Int, _ reason: String) -> End {
        (400..<500).contains(status) && status != 429 ? .refused(reason) : .interrupted(reason)
    }

    /// The `detail` of a problem document (RFC 9457), or the status.
    private static func problem(_ connection: GatewayConnection, status: Int) throws(GatewayConnectionError) -> String {
        var body: [UInt8] = []
        while body.count < 64 << 10, let bytes = try connection.next() {
            body.append(contentsOf: bytes)
        }
        let document = try? Document(parsing: body)
        return document?.root["detail"]?.string?.escapingControls() ?? "the gateway answered \(status)"
    }

    /// Doubling from half a second to fifteen, half of it at random, so that many followers come back spread.
    private mutating func nextDelay() -> Duration {
        let longest = min(15.0, 0.5 * Double(1 << min(self.failures, 5)))
        self.failures += 1
        return .milliseconds(Int64(Double.random(in: longest / 2...longest, using: &self.generator) * 1000))
    }
}
