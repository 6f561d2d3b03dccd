import EventStream
import FreshetTesting
import JSON
import Testing

/// The program itself, with a configuration of its own, on a port that the kernel picks.
final class Gateway: Sendable {
    let process: FreshetProcess
    private let folder: TemporaryFolder
    private let listen: String

    /// A drain of some seconds, as by default, would be waited for by each test that ends a gateway with a stream open.
    private static func whole(_ configuration: String, listen: String) -> String {
        let shutdown = configuration.contains("shutdown:") ? "" : "shutdown: { drain: 500ms }\n"
        return "listen: \(listen)\n\(configuration)\n\(shutdown)"
    }

    /// `configuration`: what follows `listen`. `openFiles`: the most files that the program may have open.
    init(
        _ configuration: String,
        listen: String = "127.0.0.1:0",
        environment: [String: String?] = [:],
        openFiles: Int? = nil
    ) throws {
        self.folder = try TemporaryFolder()
        self.listen = listen
        let file = try self.folder.write(Self.whole(configuration, listen: listen), to: "freshet.yaml")
        let arguments = ["serve", "--config", file]
        guard let openFiles else {
            self.process = try FreshetProcess(arguments, environment: environment)
            return
        }
        let command = ["-c", "ulimit -n \(openFiles); exec \"$0\" \"$@\"", try FreshetProcess.locateBinary()]
        self.process = try FreshetProcess(command + arguments, environment: environment, binary: "/bin/sh")
    }

    /// Puts another configuration in the place of the first, for a reload.
    func write(_ configuration: String) throws {
        try self.folder.write(Self.whole(configuration, listen: self.listen), to: "freshet.yaml")
    }

    var client: HTTPTestClient {
        get async throws { try await self.process.client() }
    }

    func terminate() async throws -> FreshetTesting.ExitStatus {
        try await self.process.terminate()
    }

    /// Waits until each of these sources has a value.
    func waitForValues(of sources: [String]) async throws {
        let client = try await self.client
        for source in sources {
            // Without a tag it would wait for the value after the one that may already be there.
            let reply = try await client.get("/v1/values/\(source)?wait=20s", headers: ["If-None-Match": "\"none\""])
            try #require(reply.status == 200, "\(source): \(reply.text) \(self.process.errors)")
        }
    }

    /// Waits until the source has this value. That a poll is counted, or the next one sent, says nothing of it: a change
    /// is readable a moment later, with a log after its commit.
    func waitForValue(_ isWanted: (Document) -> Bool, of source: String) async throws {
        let client = try await self.client
        var tag = "\"none\""
        while true {
            let reply = try await client.get("/v1/values/\(source)?wait=20s", headers: ["If-None-Match": tag])
            try #require(reply.status == 200, "\(source): \(reply.text) \(self.process.errors)")
            if isWanted(try Document(parsing: reply.body)) { return }
            tag = try #require(reply.headers["ETag"])
        }
    }

    /// A document of the gateway's own, such as `/v1/sources/x`.
    func document(_ path: String) async throws -> Document {
        try Document(parsing: try await self.client.get(path).body)
    }

    /// Opens a stream and takes what it opens with: the snapshots, unless it resumes. `count`: how many, where a pattern
    /// names the sources.
    func follow(
        _ sources: String,
        mode: String,
        count: Int? = nil,
        after id: String? = nil,
        holding values: [String: Document] = [:],
        rule: ItemRule? = nil
    ) async throws -> Follower {
        let stream = try EventStreamClient(
            try await self.process.endpoint(),
            path: "/v1/streams/\(sources)?mode=\(mode)",
            lastEventID: id
        )
        var follower = Follower(stream: stream, mode: mode, rule: rule, values: values, lastEventID: id ?? "")
        let hello = try #require(try await stream.next())
        #expect(hello.type == "hello")
        guard id == nil else { return follower }
        for _ in 0..<(count ?? sources.split(separator: ",").count) {
            try await follower.takeChange()
        }
        return follower
    }
}
