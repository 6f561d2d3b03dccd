// The whole gateway inside the test's own process, so that a test can make its disk fail.

import EventStream
import FreshetConfiguration
import FreshetHTTP
import FreshetTesting
import JSON
import Logging
import Testing
import Tracing

@testable import freshet

/// A gateway as `serve` composes it, without its signals and its exit codes.
final class EmbeddedGateway: Sendable {
    let endpoint: Endpoint
    let client: HTTPTestClient
    let composition: Composition
    /// What it has logged, a line each: level, message, metadata.
    let log: KeptLog
    private let shutdown: ShutdownRequest
    private let running: Task<Void, any Error>

    /// `configuration`: what follows `listen`. `memory`: `nil` measures this process. `tracer`: `nil` is what the
    /// configuration says.
    init(
        _ configuration: String,
        in folder: TemporaryFolder,
        memory: MemoryWatch? = nil,
        tracer: (any Tracer)? = nil
    ) async throws {
        let file = try folder.write("listen: 127.0.0.1:0\n\(configuration)\n", to: "freshet.yaml")
        let loaded = try ConfigurationLoader.load(file, environment: { _ in nil })
        let log = KeptLog()
        let key = AdminKey.random()
        let composition = try Composition(
            loaded.configuration,
            logger: Logger(label: "test") { _ in log.handler },
            adminKey: key,
            memoryWatch: memory,
            tracer: tracer
        )
        self.composition = composition
        let shutdown = ShutdownRequest()
        let address = Watched<String?>(nil)
        self.log = log
        self.shutdown = shutdown
        self.running = Task {
            try await composition.run(shutdown: shutdown) { listening in address.update { $0 = "\(listening)" } }
        }
        let text = try #require(await address.wait(timeout: .seconds(30)) { $0 }, "it does not listen: \(log.text)")
        self.endpoint = .port(try #require(text.split(separator: ":").last.flatMap { UInt16($0) }))
        self.client = HTTPTestClient(self.endpoint, headers: ["Authorization": "Bearer \(key.text)"])
    }

    deinit {
        self.shutdown.request()
    }

    /// Ends it as SIGTERM would.
    func end() async throws {
        self.shutdown.request()
        try await self.running.value
    }

    /// Pushes a value as a webhook would.
    ///
    /// - Returns: The cursor of the value.
    func push(_ text: String, to source: String) async throws -> String {
        let headers: HeaderFields = ["Content-Type": "application/json"]
        let path = "/v1/admin/sources/\(source)/value"
        let reply = try await self.client.send(
            "POST",
            path,
            headers: headers,
            body: Array(text.utf8),
            timeout: .seconds(30)
        )
        return try #require(Document(parsing: reply.body).root["cursor"]?.string, "\(reply.text)")
    }

    /// Opens a stream of one source and takes its opening: hello, and what stands before the first change.
    func resume(_ source: String, after id: String) throws -> EventStreamClient {
        try EventStreamClient(self.endpoint, path: "/v1/streams/\(source)", lastEventID: id)
    }

    /// Whether a figure of `/metrics` gets to this value; the page may be a second old.
    func metric(_ name: String, is value: Int) async throws -> Bool {
        let deadline = ContinuousClock.now + .patience
        while ContinuousClock.now < deadline {
            let lines = try await self.client.get("/metrics").text.split(separator: "\n")
            if lines.contains("\(name) \(value)") { return true }
        }
        return false
    }
}

/// Log lines that are kept, to be looked through and waited for.
final class KeptLog: Sendable {
    private let lines = Watched<[String]>([])

    var handler: any LogHandler { Handler(log: self) }
    var text: String { self.lines.value.joined(separator: "\n") }

    /// How many lines hold this.
    func count(of text: String) -> Int { self.lines.value.filter { $0.contains(text) }.count }

    /// Waits for the `count`-th line that holds this, and returns it.
    func line(containing text: String, count: Int = 1, timeout: Duration = .seconds(60)) async -> String? {
        await self.lines.wait(timeout: timeout) { lines in
            let found = lines.filter { $0.contains(text) }
            return found.count >= count ? found[count - 1] : nil
        }
    }

    private struct Handler: LogHandler {
        let log: KeptLog
        var logLevel = Logger.Level.debug
        var metadata: Logger.Metadata = [:]

        init(log: KeptLog) {
            self.log = log
        }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let metadata = (event.metadata ?? [:]).map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
            self.log.lines.update { $0.append("\(event.level) \(event.message) \(metadata)") }
        }
    }
}

extension EventStreamClient {
    /// The next so many events but `status`: where the upstream of a source that is pushed to is not there, its first poll
    /// fails at some time, which is told in between.
    func nextButStatus(_ count: Int) async throws -> [StreamEvent] {
        var events: [StreamEvent] = []
        while events.count < count { events.append(try await self.next { $0.type != "status" }) }
        return events
    }
}
