import Foundation
import FreshetTesting
import Testing

/// Sets the limits of another process.
private let limitTool = ["/usr/bin/prlimit", "/bin/prlimit"].first {
    FileManager.default.isExecutableFile(atPath: $0)
}

@Suite(
    "A process without descriptors",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: limitTool != nil, "no prlimit (util-linux)")
)
struct DescriptorTests {
    /// Lets a process open descriptors below this number alone.
    private static func limit(_ pid: Int32, to count: Int) throws {
        let process = Process()
        process.executableURL = URL(filePath: try #require(limitTool))
        process.arguments = ["--pid", "\(pid)", "--nofile=\(count):"]
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }

    @Test("a stream that gets no descriptor is refused with no_descriptor, and one later is not")
    func stream() async throws {
        let gateway = try Gateway("sources: { pushed: {} }")
        try await gateway.push("[1]", of: "pushed")
        let connection = try await RawConnection(gateway.process.endpoint())
        // Accepted, so that it needs no other descriptor until it becomes a stream.
        try await connection.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _ = try await connection.receive(until: "HTTP/1.1 200 ")
        try Self.limit(gateway.process.pid, to: 3)
        try await connection.send("GET /v1/streams/pushed HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let text = try await connection.receive(until: #""code":"no_descriptor""#)
        #expect(text.contains("HTTP/1.1 503 ") && text.contains("Retry-After: "), "\(text)")
        try Self.limit(gateway.process.pid, to: 1024)
        try await connection.send("GET /v1/streams/pushed HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _ = try await connection.receive(until: "event: snapshot")
        #expect(try await gateway.terminate() == .exited(0))
    }
}
