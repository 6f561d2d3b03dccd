import Foundation
import FreshetTesting
import Glibc
import Testing

/// What the program tells a service manager, received as systemd receives it.
@Suite("Under systemd", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct SystemdTests {
    @Test("READY when it listens, RELOADING and READY around a reload, WATCHDOG all along, STOPPING first of all")
    func life() async throws {
        let manager = try NotifySocket()
        let gateway = try Gateway(
            "sources: { a: { url: \"http://127.0.0.1:1/a\" } }",
            environment: ["NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": nil]
        )
        #expect(await manager.next() == "READY=1")
        #expect(await manager.next { $0 == "WATCHDOG=1" } != nil)
        #expect(await manager.next { $0 == "WATCHDOG=1" } != nil, "again and again")

        // A good configuration and a bad one: either way the manager hears that the reload is over.
        for configuration in ["sources: { b: { url: \"http://127.0.0.1:1/b\" } }", "sources: ["] {
            try gateway.write(configuration)
            gateway.process.send(SIGHUP)
            let reloading = try #require(await manager.next { $0 != "WATCHDOG=1" })
            let lines = reloading.split(separator: "\n")
            #expect(lines.first == "RELOADING=1")
            let microseconds = lines.last.flatMap { $0.hasPrefix("MONOTONIC_USEC=") ? Int64($0.dropFirst(15)) : nil }
            #expect(microseconds ?? 0 > 0, "\(reloading)")
            #expect(await manager.next { $0 != "WATCHDOG=1" } == "READY=1")
        }
        #expect(gateway.process.isRunning)
        #expect(await manager.next { $0 == "WATCHDOG=1" } != nil, "after reloads too")

        gateway.process.send(SIGTERM)
        #expect(await manager.next { $0 != "WATCHDOG=1" } == "STOPPING=1")
        #expect(try await gateway.process.exitStatus(timeout: .seconds(30)) == .exited(0))
    }

    @Test("one whose watchdog is another process's sends no signs of life")
    func notOurWatchdog() async throws {
        let manager = try NotifySocket()
        let gateway = try Gateway(
            "sources: { a: { url: \"http://127.0.0.1:1/a\" } }",
            environment: ["NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"]
        )
        #expect(await manager.next() == "READY=1")
        _ = try await gateway.client.get("/livez")
        #expect(try await gateway.terminate() == .exited(0))
        #expect(await manager.next() == "STOPPING=1")
    }
}

/// The socket of a service manager. Its last reference closes it.
private final class NotifySocket: Sendable {
    let path: String
    private let folder: TemporaryFolder
    private let descriptor: Int32
    private let datagrams = Watched<[String]>([])

    private struct Failure: Error {}

    init() throws {
        self.folder = try TemporaryFolder()
        self.path = self.folder.path("notify")
        self.descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard self.descriptor >= 0 else { throw Failure() }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let name = Array(self.path.utf8)
        guard name.count < MemoryLayout.size(ofValue: address.sun_path) else { throw Failure() }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let descriptor = self.descriptor
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard result == 0 else { throw Failure() }
        let datagrams = self.datagrams
        Thread.detachNewThread {
            var buffer = [UInt8](repeating: 0, count: 4096)
            // A socket that is shut down receives nothing: see `deinit`.
            while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 {
                datagrams.update { $0.append(String(decoding: buffer[..<count], as: UTF8.self)) }
            }
            Glibc.close(descriptor)
        }
    }

    /// Ends the thread, which then closes the descriptor.
    deinit { shutdown(self.descriptor, Int32(SHUT_RDWR)) }

    /// The next datagram that is looked for; `nil` when none comes in time.
    func next(where isWanted: @escaping @Sendable (String) -> Bool = { _ in true }) async -> String? {
        await self.datagrams.wait(timeout: .patience) { datagrams in
            guard let index = datagrams.firstIndex(where: isWanted) else {
                datagrams = []
                return nil
            }
            defer { datagrams.removeFirst(index + 1) }
            return datagrams[index]
        }
    }
}
