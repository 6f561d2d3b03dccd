// A WebSocket that changes hands: from the HTTP server, which answered its handshake, to a shard; and its messages, which go
// the other way.

package import FreshetCore
import System
package import WebSocket

/// What one socket may do and how long it may take.
package struct WebSocketLimits: Hashable, Sendable {
    /// Of a message, as it comes and as it is after decompression. Default: 1 MiB.
    package var maxMessageBytes = Defaults.Limits.maxSocketMessageBytes
    /// Messages and pings a second, ten seconds' worth of them at once; a socket that sends more is read no faster. Default:
    /// 100.
    package var maxMessagesPerSecond = Defaults.Limits.maxMessagesPerSocket
    /// Requests that were not answered yet; a socket with more of them is not read. Default: 32.
    package var maxUnanswered = Defaults.Limits.maxUnansweredPerSocket
    /// Subscriptions at one time. Default: 64.
    package var maxSubscriptions = Defaults.Limits.maxSubscriptionsPerSocket
    /// From the handshake to a credential, where it had none. Default: 10 s.
    package var authTimeout: Duration = .seconds(10)
    /// From the first frame of a message to its last. Default: 30 s.
    package var messageTimeout: Duration = .seconds(30)
    /// Without taking anything of what waits for it. Default: 30 s.
    package var writeTimeout: Duration = Defaults.Limits.writeTimeout
    /// The longest silence; then a ping is sent. Default: 15 s.
    package var heartbeat: Duration = Defaults.heartbeat
    /// How long a quiet socket may take to answer it. Default: 60 s.
    package var pongTimeout: Duration = .seconds(60)
    /// From our Close frame to the client's. Default: 2 s.
    package var closeTimeout: Duration = .seconds(2)
    /// Bytes of answers that wait for a socket before it is read no further. Default: 256 KiB.
    package var maxWaitingBytes = 256 << 10

    package init() {}
}

/// A connection whose handshake was answered. Whoever is given one owns it.
package struct WebSocketArrival: Sendable {
    package var connection: Socket
    /// The head of the answer to the handshake, sent first.
    package var head: [UInt8]
    /// What came behind the handshake.
    package var received: [UInt8]
    /// Messages may be compressed, both ways.
    package var deflates: Bool
    package var limits: WebSocketLimits
    /// The place that ``StreamServer/admit(_:sourceSet:caller:)`` gave.
    package var ticket: AdmissionTicket
    /// Whose socket it is.
    package var owner: StreamOwner?
    /// The handshake had no credential, and one is needed.
    package var mustAuthenticate: Bool
    package var requests: any WebSocketRequests

    package init(
        connection: Socket,
        head: [UInt8],
        received: [UInt8],
        deflates: Bool,
        limits: WebSocketLimits,
        ticket: AdmissionTicket,
        owner: StreamOwner?,
        mustAuthenticate: Bool,
        requests: any WebSocketRequests
    ) {
        self.connection = connection
        self.head = head
        self.received = received
        self.deflates = deflates
        self.limits = limits
        self.ticket = ticket
        self.owner = owner
        self.mustAuthenticate = mustAuthenticate
        self.requests = requests
    }
}

/// Carries out what a socket's messages ask for. Called on the shard's thread, and returns at once.
package protocol WebSocketRequests: Sendable {
    /// A text message, to be answered once through the exchange, on any thread and at any time.
    func take(_ message: [UInt8], on exchange: WebSocketExchange)
    /// A subscription has ended: by its client, or since nothing of it is left.
    func ended(_ subscription: UInt64)
    /// Nothing more comes of what was taken from a subscription.
    func narrowed(_ subscription: UInt64)
    /// The socket is no more.
    func closed()
}

/// A subscription that is handed over: see ``WebSocketExchange/subscription(_:answer:)``.
struct WebSocketSubscription: Sendable {
    let exchange: WebSocketExchange
    let number: UInt64
    /// What is sent once it is live, with the cursor between both: the answer to its request.
    let answer: (head: [UInt8], tail: [UInt8])
    /// What is sent where it ends and its socket does not, with the reason between both.
    let end: (head: [UInt8], tail: [UInt8])
}

/// A socket of a shard. A place is used again, so that a number belongs to the name.
struct WebSocketName: Hashable, Sendable {
    var shard: Int
    var place: Int32
    var number: UInt32
}

/// A socket, as whoever answers its messages holds it. Any thread.
package final class WebSocketExchange: Sendable {
    let name: WebSocketName
    private let inbox: Inbox<WebSocketOrder>

    init(_ name: WebSocketName, inbox: Inbox<WebSocketOrder>) {
        self.name = name
        self.inbox = inbox
    }

    /// Answers one message. `held` counts what the text holds until it is sent.
    package func answer(_ text: [UInt8], held: UnsentTicket? = nil) {
        _ = self.inbox.post(.answer(self.name, text, held))
    }

    /// The connection of a subscription, as a handover takes it, which is answered by the shard: with the text of `answer`
    /// around the cursor from which it is live, or, where it ends before its socket, with that of `end` around the reason.
    package func subscription(
        _ number: UInt64,
        answer: (head: [UInt8], tail: [UInt8]),
        end: (head: [UInt8], tail: [UInt8])
    ) -> Socket {
        Socket(WebSocketSubscription(exchange: self, number: number, answer: answer, end: end))
    }

    /// A subscription was not taken over.
    func refuse() {
        _ = self.inbox.post(.close(self.name, .tryAgainLater, "The gateway is shutting down."))
    }

    /// Ends a subscription, and answers when nothing more comes of it.
    package func unsubscribe(_ number: UInt64, answer: [UInt8]?) {
        _ = self.inbox.post(.unsubscribe(self.name, number, answer))
    }

    /// Takes sources from a subscription, and answers when nothing more comes of them.
    package func narrow(_ number: UInt64, to pattern: SourcePattern, answer: [UInt8]?) {
        _ = self.inbox.post(.narrow(self.name, number, pattern, answer))
    }

    /// The socket has this owner from now on; what it does not cover ends. Then answers.
    package func renew(_ owner: StreamOwner, answer: [UInt8]) {
        _ = self.inbox.post(.renew(self.name, owner, answer))
    }

    /// Ends the socket.
    package func close(_ code: CloseCode, _ reason: String) {
        _ = self.inbox.post(.close(self.name, code, reason))
    }
}

/// What the other threads tell the sockets of a shard, through an ``Inbox``.
enum WebSocketOrder: Sendable {
    case open(WebSocketArrival)
    case answer(WebSocketName, [UInt8], UnsentTicket?)
    case unsubscribe(WebSocketName, UInt64, [UInt8]?)
    case narrow(WebSocketName, UInt64, SourcePattern, [UInt8]?)
    case renew(WebSocketName, StreamOwner, [UInt8])
    case close(WebSocketName, CloseCode, String)
    case review(@Sendable (StreamOwner) -> OwnerVerdict)
    /// No more subscriptions: the gateway goes.
    case drain
}
