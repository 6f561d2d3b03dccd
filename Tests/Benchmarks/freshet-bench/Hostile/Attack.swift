// What hostile clients ask for: the kinds of the audit, each in several spellings.

import FreshetTesting
import System

/// A kind of attack, by its row. Each is within what any client may send.
enum Attack: String, CaseIterable, Sendable {
    case everythingFromTheLog = "A06"
    case valuesOfThePast = "A07"
    case distinctSets = "A08"
    case unreadValues = "A09"
    case stalledReplays = "A10"
    case unusableCursors = "A11"
    case waitingForever = "A12"
    case wokenAtOnce = "A13"
    case halfRequests = "A14"
    case metricsInALoop = "A15"

    var title: String {
        switch self {
        case .everythingFromTheLog: "all sources, abandoned"
        case .valuesOfThePast: "past values, abandoned"
        case .distinctSets: "distinct sets of sources"
        case .unreadValues: "unread values of 4 MB"
        case .stalledReplays: "stalled replays"
        case .unusableCursors: "unusable cursors"
        case .waitingForever: "waits, asks again at once"
        case .wokenAtOnce: "waits for one change"
        case .halfRequests: "half requests"
        case .metricsInALoop: "metrics in a loop"
        }
    }

    /// How a client of this kind treats its connections.
    enum Conduct {
        /// Asks, and goes without reading at the next step.
        case abandon
        /// Reads a little of the answer and goes.
        case sip
        /// Reads the first bytes, then nothing more; keeps the connection.
        case stall
        /// Keeps and reads all of its streams, and closes all at once when it has `hold`.
        case crowd
        /// Reads the answer and asks again at once.
        case loop
        /// Never finishes its request, but sends a byte now and then.
        case drip
    }

    struct Shape {
        var conduct: Conduct
        /// Connections that a client keeps at most.
        var hold: Int
        /// Connections that a client opens in a step.
        var opens: Int
        /// Requests that a client repeats in a step.
        var asks = 0
        var receiveBufferBytes: Int32?
    }

    var shape: Shape {
        switch self {
        case .everythingFromTheLog, .valuesOfThePast: Shape(conduct: .abandon, hold: 2, opens: 2)
        case .distinctSets: Shape(conduct: .crowd, hold: 250, opens: 5)
        case .unreadValues: Shape(conduct: .stall, hold: 20, opens: 1, receiveBufferBytes: 4096)
        case .stalledReplays: Shape(conduct: .stall, hold: 15, opens: 1, receiveBufferBytes: 4096)
        case .unusableCursors: Shape(conduct: .sip, hold: 5, opens: 5)
        case .waitingForever: Shape(conduct: .loop, hold: 500, opens: 10, asks: 10)
        case .wokenAtOnce: Shape(conduct: .loop, hold: 250, opens: 10, asks: 10)
        case .halfRequests: Shape(conduct: .drip, hold: 150, opens: 10, asks: 20)
        case .metricsInALoop: Shape(conduct: .loop, hold: 5, opens: 1, asks: 5)
        }
    }
}

/// Writes the requests of attacks.
struct AttackRequests {
    let sources: HostileSources
    let port: Int
    /// The epoch of the gateway's cursors.
    let epoch: String
    /// A sequence that the log has reached.
    let newest: Int
    private(set) var random: SplitMix64
    /// The field that names the client of the next request.
    private var forwarded = ""

    init(sources: HostileSources, port: Int, epoch: String, newest: Int, seed: UInt64) {
        (self.sources, self.port, self.epoch, self.newest) = (sources, port, epoch, newest)
        self.random = SplitMix64(seed: seed)
    }

    /// The bytes to send on a new connection, or on one that was answered. `client` is the address that a proxy would name.
    mutating func next(_ attack: Attack, from client: LoopbackAddress) -> [UInt8] {
        self.forwarded = "X-Forwarded-For: \(client.forwarded(in: "203.0.113"))\r\n"
        return switch attack {
        case .everythingFromTheLog: self.everythingFromTheLog()
        case .valuesOfThePast: self.valuesOfThePast()
        case .distinctSets: self.distinctSets()
        case .unreadValues: self.unreadValues()
        case .stalledReplays: self.stalledReplays()
        case .unusableCursors: self.unusableCursors()
        case .waitingForever: self.waitingForever()
        case .wokenAtOnce: self.wokenAtOnce()
        case .halfRequests: self.halfRequest()
        case .metricsInALoop: self.metricsInALoop()
        }
    }

    private mutating func everythingFromTheLog() -> [UInt8] {
        let selector = self.any(of: [
            "*", "*,*", "s*,large,quiet,pulse", "large,*", self.sources.all.joined(separator: ","),
        ])
        let query = self.any(of: [
            "since=earliest&limit=1", "limit=1", "limit=1&since=1h", "since=earliest&limit=1&mode=merge",
            "since=earliest&limit=1&descending", "descending&limit=1&before=\(self.cursor())",
            "since=\(self.cursor())&limit=1000",
            "since=2020-01-01T00:00:00Z&limit=1", "limit=1000&mode=snapshot",
        ])
        let method = self.any(of: ["GET", "GET", "GET", "HEAD"])
        return self.request("/v1/changes/\(selector)?\(query)", method: method, fields: self.accept())
    }

    private mutating func valuesOfThePast() -> [UInt8] {
        let source = self.any(of: [self.sources.large, self.sources.large, self.source(), self.sources.pulse])
        let path = self.any(of: [
            "/v1/values/\(source)?at=\(self.cursor())", "/v1/values/\(source)?at=\(1 + self.below(20))s",
            "/v1/values/\(source)?at=\(self.epoch)-1", "/v1/values/\(source)?at=500ms",
            "/v1/changes/\(source)?since=\(1 + self.below(20))s&limit=1000&mode=snapshot",
            "/v1/streams/\(source)?since=\(1 + self.below(20))s&mode=snapshot",
        ])
        return self.request(path, fields: self.any(of: ["", "If-None-Match: \"x\"\r\n", "Accept-Encoding: gzip\r\n"]))
    }

    private mutating func distinctSets() -> [UInt8] {
        // Three or four of 47 in any order: hardly ever the same twice. Patterns and repetitions are spellings of sets.
        var names = (0..<(3 + self.below(2))).map { _ in self.source() }
        if self.below(3) == 0, let first = names.first { names.append(first) }
        if self.below(4) == 0 { names.append(self.sources.quiet) }
        if self.below(8) == 0 { names = ["s\(self.below(4))*"] + names.prefix(1) }
        let query = self.any(of: ["", "?mode=merge", "?mode=items", "?mode=snapshot", "?since=latest"])
        let fields = self.any(of: ["", "Accept: application/x-ndjson\r\n"])
        return self.request("/v1/streams/\(names.joined(separator: ","))\(query)", fields: fields)
    }

    private mutating func unreadValues() -> [UInt8] {
        switch self.below(6) {
        case 0: self.repeated(8, "/v1/values/large")
        case 1: self.repeated(500, "/v1/values/\(self.source())")
        case 2: self.request("/v1/values/large?at=\(self.cursor())")
        case 3: self.request("/v1/changes/large?limit=1000&mode=snapshot", fields: self.accept())
        case 4: self.request("/v1/values/large", version: "1.0")
        case _: self.request("/v1/values/large")
        }
    }

    private mutating func stalledReplays() -> [UInt8] {
        let source = self.any(of: ["large", "large", "large,pulse", "*"])
        let fields = self.any(of: ["", "Accept: application/x-ndjson\r\n", "Last-Event-ID: \(self.cursor())\r\n"])
        let query = self.any(of: [
            "since=2s", "since=2s&mode=snapshot", "since=\(self.cursor())", "since=earliest", "since=10s&mode=merge",
        ])
        return self.request("/v1/streams/\(source)?\(query)", fields: fields)
    }

    private mutating func unusableCursors() -> [UInt8] {
        let selector = self.any(of: ["*", "*", "large", self.sources.all.joined(separator: ",")])
        let since = self.any(of: [
            "nonsense", "\(self.epoch)-999999999", "zzzzzz-5", "-1", "%00%FF", "\(self.epoch)-0", "\(self.epoch)--1",
            "99999999999999999999", String(repeating: "a", count: 200), "\(self.epoch.uppercased())-1",
        ])
        let path = self.any(of: [
            "/v1/changes/\(selector)?limit=1&since=\(since)", "/v1/streams/\(selector)?since=\(since)",
        ])
        return self.request(
            path,
            fields: self.any(of: ["", "Accept: application/x-ndjson\r\n", "Last-Event-ID: \(since)\r\n"])
        )
    }

    private mutating func waitingForever() -> [UInt8] {
        let path = self.any(of: [
            "/v1/values/quiet?wait=60s", "/v1/values/quiet?wait=30s&since=latest",
            "/v1/changes/quiet?since=latest&wait=60s",
        ])
        return self.request(path, fields: self.any(of: ["", "If-None-Match: *\r\n"]))
    }

    private mutating func wokenAtOnce() -> [UInt8] {
        self.request(
            self.any(of: [
                "/v1/values/pulse?wait=60s", "/v1/changes/pulse?since=latest&wait=60s",
                "/v1/changes/pulse,quiet?since=latest&wait=60s&limit=1", "/v1/changes/quiet,p*?since=latest&wait=30s",
            ]),
            fields: self.accept()
        )
    }

    private mutating func halfRequest() -> [UInt8] {
        let start = "GET /v1/streams/s00 HTTP/1.1\r\nHost: 127.0.0.1:\(self.port)\r\n\(self.forwarded)"
        let text = self.any(of: [
            "", "GET /v1/streams/s00 HT", start, start + "X-Long: " + String(repeating: "x", count: 2000), "\r\n\r\n",
            "POST /v1/admin/sources/s00/value HTTP/1.1\r\nHost: 127.0.0.1:\(self.port)\r\nContent-Length: 1000000\r\n\r\n{",
            "POST /v1/sources/s00/value HTTP/1.1\r\nHost: 127.0.0.1:\(self.port)\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{",
            "PRI * HTTP/2.0\r\n\r\nSM", "\u{16}\u{3}\u{1}",
        ])
        return Array(text.utf8)
    }

    private mutating func metricsInALoop() -> [UInt8] {
        let path = self.any(of: [
            "/metrics", "/metrics", "/v1/sources", "/v1/sources?limit=1000", "/v1/sources/\(self.source())",
            "/openapi.json",
            "/readyz?verbose", "/v1/gateway", "/", "/v1/values/x\(self.below(100_000))",
            "/v1/sources/x\(self.below(100_000))",
        ])
        return self.request(path, fields: self.any(of: ["", "Accept-Encoding: gzip\r\n", "Accept: text/plain\r\n"]))
    }

    private mutating func repeated(_ count: Int, _ path: String) -> [UInt8] {
        let one = self.request(path)
        return Array(Array(repeating: one, count: count).joined())
    }

    private func request(_ path: String, method: String = "GET", version: String = "1.1", fields: String = "")
        -> [UInt8]
    {
        Array(
            "\(method) \(path) HTTP/\(version)\r\nHost: 127.0.0.1:\(self.port)\r\n\(self.forwarded)\(fields)\r\n".utf8
        )
    }

    private mutating func accept() -> String { self.any(of: ["", "", "Accept: application/x-ndjson\r\n"]) }

    private mutating func cursor() -> String { "\(self.epoch)-\(1 + self.below(max(1, self.newest)))" }

    private mutating func source() -> String { self.any(of: self.sources.regular) }

    private mutating func below(_ count: Int) -> Int { Int.random(in: 0..<count, using: &self.random) }

    private mutating func any<Element>(of choices: [Element]) -> Element { choices[self.below(choices.count)] }
}
