// A connection of HTTP/2 that changes hands: from the event loop that shook hands to a shard, whose streams it carries; and
// its requests, which go the other way.

package import HTTP2
import Synchronization
package import System
package import TLS

/// Who is at the other end of a connection.
package struct HTTP2Client: Sendable {
    package var peer: PeerAddress
    /// Counts the connection, for as long as it is held.
    package var permit: any AnyObject & Sendable

    package init(peer: PeerAddress, permit: any AnyObject & Sendable) {
        self.peer = peer
        self.permit = permit
    }
}

/// How long a connection and its requests may take.
package struct HTTP2Timeouts: Sendable {
    /// From the first byte of a request to its end.
    package var request: Duration
    /// Without any stream.
    package var idle: Duration
    /// Without taking anything of an answer, or of anything.
    package var write: Duration

    package init(request: Duration, idle: Duration, write: Duration) {
        self.request = request
        self.idle = idle
        self.write = write
    }
}

/// A connection right after its handshake. Whoever is given one owns it.
package struct HTTP2Arrival: Sendable {
    package var descriptor: Int32
    /// Open, and with everything sent that it has sealed.
    package var session: TLSSession
    /// What came with the end of the handshake, opened.
    package var received: [UInt8]
    package var client: HTTP2Client
    package var timeouts: HTTP2Timeouts
    /// The longest that a body may be.
    package var maxBodyBytes: Int
    package var requests: any HTTP2Requests

    package init(
        descriptor: Int32,
        session: TLSSession,
        received: [UInt8],
        client: HTTP2Client,
        timeouts: HTTP2Timeouts,
        maxBodyBytes: Int,
        requests: any HTTP2Requests
    ) {
        self.descriptor = descriptor
        self.session = session
        self.received = received
        self.client = client
        self.timeouts = timeouts
        self.maxBodyBytes = maxBodyBytes
        self.requests = requests
    }
}

/// Answers the requests of connections that a shard owns. Called on the shard's thread, and returns at once.
package protocol HTTP2Requests: Sendable {
    /// How long the body may be that follows a head.
    func bodyLimit(of head: HTTP2Head, from client: HTTP2Client) -> Int
    /// Takes a request, to be answered through its exchange, on any thread and at any time.
    func take(_ request: HTTP2Request)
}

/// A request that is there whole, or as far as it is taken.
package struct HTTP2Request: Sendable {
    package var head: HTTP2Head
    package var body: [UInt8]
    package var isBodyTooLong: Bool
    package var client: HTTP2Client
    package var exchange: HTTP2Exchange
}

/// An answer that is known whole.
package struct HTTP2Answer: Sendable {
    package var status: Int
    package var fields: [HTTP2Field]
    /// `nil` where there is none, whatever the status.
    package var body: [UInt8]?
    /// Counts what the body holds, until it is sent.
    package var held: (any AnyObject & Sendable)?

    package init(status: Int, fields: [HTTP2Field], body: [UInt8]?, held: (any AnyObject & Sendable)? = nil) {
        self.status = status
        self.fields = fields
        self.body = body
        self.held = held
    }
}

/// A part of an answer that began with ``HTTP2Exchange/begin(_:)``.
package struct HTTP2Part: Sendable {
    package var bytes: [UInt8]
    /// The stream ends after it.
    package var isLast: Bool

    package init(_ bytes: [UInt8], isLast: Bool = false) {
        self.bytes = bytes
        self.isLast = isLast
    }
}

/// A stream of a connection of a shard. A connection's place is used again, so that its number belongs to the name.
struct HTTP2StreamName: Hashable, Sendable {
    var shard: Int
    var place: Int32
    var connection: UInt32
    var id: Int32
}

/// One request, as whoever answers it holds it. Any thread.
package final class HTTP2Exchange: Sendable {
    private struct State: Sendable {
        var isClosed = false
        var isHurried = false
        var whenClosed: (@Sendable () -> Void)?
        var whenSent: (@Sendable () -> Void)?
        var whenHurried: (@Sendable () -> Void)?
    }

    let name: HTTP2StreamName
    private let inbox: Inbox<HTTP2Order>
    private let state = Mutex(State())

    init(_ name: HTTP2StreamName, inbox: Inbox<HTTP2Order>) {
        self.name = name
        self.inbox = inbox
    }

    /// Sends the answer. Once.
    package func answer(_ answer: HTTP2Answer) {
        _ = self.inbox.post(.answer(self.name, answer))
    }

    /// Sends the head of an answer whose body comes in parts. Its `body` is not looked at. Once, in place of ``answer(_:)``.
    ///
    /// `whenSent` is called when the kernel has taken the head, and again after each part; ``add(_:)`` then sends the next one.
    /// It is called on the shard's thread, and never after the stream has closed.
    package func begin(_ head: HTTP2Answer, whenSent: @escaping @Sendable () -> Void) {
        self.state.withLock { state in
            if !state.isClosed { state.whenSent = whenSent }
        }
        _ = self.inbox.post(.begin(self.name, head))
    }

    /// Sends the next part, after `whenSent` was called for what came before it: one part is held, however slow the client.
    package func add(_ part: HTTP2Part) {
        _ = self.inbox.post(.part(self.name, part))
    }

    /// The kernel has taken what there was.
    func sent() {
        self.state.withLock { $0.whenSent }?()
    }

    /// The stream as a handover takes it: with the fields of the answer's head.
    package func stream(_ fields: [HTTP2Field]) -> Socket {
        Socket(stream: self, fields: fields)
    }

    /// Gives the stream up: nobody takes it over.
    func refuse() {
        _ = self.inbox.post(.refuse(self.name))
    }

    /// Calls `action` when the client has gone, or its stream; at once where it has.
    package func whenClosed(_ action: @escaping @Sendable () -> Void) {
        let isClosed = self.state.withLock { state in
            if !state.isClosed { state.whenClosed = action }
            return state.isClosed
        }
        if isClosed { action() }
    }

    /// Calls `action` when the answer is to come at once, with what there is: the gateway goes. At once where it does already.
    package func whenHurried(_ action: @escaping @Sendable () -> Void) {
        let isHurried = self.state.withLock { state in
            if !state.isHurried, !state.isClosed { state.whenHurried = action }
            return state.isHurried
        }
        if isHurried { action() }
    }

    /// Nothing is to be waited for any more.
    func hurry() {
        let action = self.state.withLock { state in
            state.isHurried = true
            defer { state.whenHurried = nil }
            return state.whenHurried
        }
        action?()
    }

    /// The stream is no more.
    func close() {
        let action = self.state.withLock { state in
            state.isClosed = true
            defer { (state.whenClosed, state.whenHurried, state.whenSent) = (nil, nil, nil) }
            return state.whenClosed
        }
        action?()
    }
}

/// What the other threads tell the HTTP/2 connections of a shard, through an ``Inbox``.
enum HTTP2Order: Sendable {
    case open(HTTP2Arrival)
    case answer(HTTP2StreamName, HTTP2Answer)
    case begin(HTTP2StreamName, HTTP2Answer)
    case part(HTTP2StreamName, HTTP2Part)
    case refuse(HTTP2StreamName)
    /// No more requests: the gateway goes.
    case drain
}

/// Figures of HTTP/2, over all shards. Any thread.
package final class HTTP2Counters: Sendable {
    package struct Figures: Sendable {
        package var connections = 0
        package var accepted: UInt64 = 0
        package var requests: UInt64 = 0
        package var overruns: [HTTP2Overrun: UInt64] = [:]
    }

    private let state = Mutex(Figures())

    package var figures: Figures { self.state.withLock { $0 } }

    func opened() {
        self.state.withLock { figures in
            figures.connections += 1
            figures.accepted += 1
        }
    }

    func closed() { self.state.withLock { $0.connections -= 1 } }
    func requested() { self.state.withLock { $0.requests += 1 } }
    func overran(_ overrun: HTTP2Overrun) { self.state.withLock { $0.overruns[overrun, default: 0] += 1 } }
}
