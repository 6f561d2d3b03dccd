// The ways on which callers of the matrix of access speak.

import EventStream
import FreshetCore
import FreshetTesting
import JSON
import System
import Testing

@testable import FreshetHTTP

enum AccessWay: String, CaseIterable, Sendable {
    case requests, socket

    /// What can be asked for.
    var actions: [AccessOracle.Action] {
        switch self {
        case .requests: AccessOracle.Action.allCases
        case .socket: [.stream, .write]
        }
    }
}

/// Stands for the desk of writes: looks at the grants as that does, and counts what it would do.
final class AccessWriter: Writer {
    private let hub: Hub
    private let done: Watched<Int>

    init(_ hub: Hub, done: Watched<Int>) {
        self.hub = hub
        self.done = done
    }

    func methods(of source: String) -> [WriteMethod]? { WriteMethod.allCases }

    func perform(_ request: WriteRequest, for caller: Principal) async -> WriteAnswer {
        let isGranted = caller.grants.write.matches(request.source)
        guard isGranted || caller.kind != .anonymous else { return WriteAnswer(.credentialRequired) }
        guard isGranted, self.hub.source(named: request.source) != nil else {
            return WriteAnswer(.unknownSource(request.source))
        }
        self.done.update { $0 += 1 }
        return WriteAnswer(status: 200)
    }
}

/// One caller, who asks for one thing after the other.
struct AccessLine {
    typealias Matrix = HTTPTests.AccessMatrixTests

    /// What a caller is told. A socket's answers have no fields.
    struct Told {
        var status: Int
        var fields: [String] = []
        var text: String

        init(_ reply: HTTPReply) {
            self.status = reply.status
            self.fields = reply.headers.all.filter { $0.name != "Date" }.map { "\($0.name): \($0.value)" }
            self.text = reply.text
        }

        /// Of a socket's message, all behind what it repeats.
        init(_ message: String) throws {
            let root = try Document(parsing: Array(message.utf8)).root
            self.status = root["problem"]?["status"]?.int ?? (root["ok"] == nil ? 0 : 200)
            self.text = String(message.drop { $0 != "," })
        }
    }

    private let caller: Matrix.Caller
    private let client: HTTPTestClient
    /// `nil` for requests.
    private var socket: SocketClient?
    private var asked = 0

    init(_ way: AccessWay, _ caller: Matrix.Caller) async throws {
        self.caller = caller
        self.client = HTTPTestClient(caller.endpoint)
        guard way == .socket else { return }
        self.socket = try await Self.open(caller, ticket: caller.ticketOwner?.ticket)
    }

    fileprivate static func open(_ caller: Matrix.Caller, ticket: String?) async throws -> SocketClient {
        let query = ticket.map { "?ticket=\($0)" } ?? ""
        return try await SocketClient(caller.endpoint, SocketClient.path + query, caller.fields)
    }

    mutating func ask(_ action: AccessOracle.Action, _ source: String, isHead: Bool = false) async throws -> Told {
        guard let socket else {
            return Told(try await Matrix.send(action, source, to: self.client, self.caller, isHead: isHead))
        }
        self.asked += 1
        guard action == .stream, let owner = self.caller.ticketOwner else {
            return try await Self.ask(action, source, on: socket, re: self.asked)
        }
        // A ticket opens one socket, for its sources.
        let made = try await Matrix.makeTicket(owner.tenant, source, self.client)
        guard made.status == 200 else { return Told(made) }
        let other = try await Self.open(self.caller, ticket: try text(made, "/ticket"))
        defer { other.close() }
        return try await Self.ask(action, source, on: other, re: self.asked)
    }

    private static func ask(
        _ action: AccessOracle.Action,
        _ source: String,
        on socket: SocketClient,
        re: Int
    ) async throws -> Told {
        let rest =
            action == .write
            ? #""op":"write","method":"PUT","source":"\#(source)","body":[1]"#
            : #""op":"subscribe","sources":"\#(source)","since":"latest""#
        return try Told(try await socket.ask(#"{"re":\#(re),\#(rest)}"#, re: re))
    }

    func close() { self.socket?.close() }
}

/// Reads everything that a caller may read.
struct AccessListener {
    private var stream: EventStreamClient?
    private var socket: SocketClient?
    /// Of a socket.
    private var read = 0

    init(_ way: AccessWay, _ caller: AccessLine.Matrix.Caller) async throws {
        var ticket: String?
        if let owner = caller.ticketOwner {
            let client = HTTPTestClient(caller.endpoint)
            ticket = try text(try await AccessLine.Matrix.makeTicket(owner.tenant, "*", client), "/ticket")
        }
        switch way {
        case .requests:
            let path = "/v1/streams/*?mode=snapshot" + (ticket.map { "&ticket=\($0)" } ?? "")
            let stream = try EventStreamClient(caller.endpoint, path: path, headers: caller.fields)
            _ = try await stream.next(1)
            self.stream = stream
        case .socket:
            let socket = try await AccessLine.open(caller, ticket: ticket)
            try await socket.send(#"{"re":1,"op":"subscribe","sources":"*","mode":"snapshot"}"#)
            self.socket = socket
        }
    }

    /// The sources of the next events.
    mutating func next(_ count: Int) async throws -> Set<String> {
        if let stream {
            let events = try await stream.next(count)
            return Set(try events.compactMap { try Document(parsing: $0.data).root["source"]?.string })
        }
        let socket = try #require(self.socket)
        let wanted = self.read + count
        let frames = try await socket.receive { Self.sources(in: $0).count >= wanted }
        let sources = Self.sources(in: frames).dropFirst(self.read)
        self.read += sources.count
        return Set(sources)
    }

    private static func sources(in frames: [SocketFrame]) -> [String] {
        frames.filter { $0.opcode == 1 }.compactMap { frame in
            (try? Document(parsing: frame.payload).root)?["data"]?["source"]?.string
        }
    }

    func close() async {
        await self.stream?.close()
        self.socket?.close()
    }
}
