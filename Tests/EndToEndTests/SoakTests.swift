// A long time in little of it: as many polls as a gateway makes in a day, one answer in twenty a fault.

import EventStream
import Foundation
import FreshetTesting
import JSON
import Synchronization
import Testing

@Suite("A soak", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct SoakTests {
    /// `FRESHET_SOAK_POLLS`: 86,400 are a day of ten sources, each polled every ten seconds.
    private static let polls = max(400, Int(ProcessInfo.processInfo.environment["FRESHET_SOAK_POLLS"] ?? "") ?? 2_000)
    private static let hosts = 5
    private static let sourcesPerHost = 2
    /// Of so many answers one is a fault.
    private static let faultEvery = 20
    private static let slack = 16 << 20

    /// What goes wrong, one after the other.
    private static func fault(_ number: Int) -> [UpstreamStep] {
        switch number / self.faultEvery % 7 {
        case 0: [.respond(.status(500))]
        case 1: [.respond(.json("{\"n\":"))]
        case 2: [.reset]
        case 3: [.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n[1"), .close]
        case 4: [.respond(.status(429, headers: ["Retry-After": "0"]))]
        case 5: [.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1"), .close]
        case _: [.close]
        }
    }

    /// Hosts whose answers change with every third request, until they are calm.
    private final class World: Sendable {
        let upstreams: [ScriptedUpstream]
        let isCalm = Atomic<Bool>(false)
        private let served = Watched(0)
        static let last = #"{"n":"the end"}"#

        init() throws {
            self.upstreams = try (0..<SoakTests.hosts).map { _ in try ScriptedUpstream() }
            for upstream in self.upstreams {
                upstream.on("*") { [weak self] _ in self?.answer() ?? [.close] }
            }
        }

        private func answer() -> [UpstreamStep] {
            let number = self.served.update { served in
                served += 1
                return served
            }
            guard !self.isCalm.load(ordering: .relaxed) else { return [.respond(.json(Self.last))] }
            guard number % SoakTests.faultEvery != 0 else { return SoakTests.fault(number) }
            let rest = String(repeating: "x", count: 200 + number % 300)
            return [.respond(.json("{\"n\":\(number / 3),\"rest\":\"\(rest)\"}"))]
        }

        func waitForPolls(_ count: Int) async -> Bool {
            await self.served.wait(timeout: .seconds(3600)) { $0 >= count ? true : nil } ?? false
        }
    }

    private static let names = (0..<hosts * sourcesPerHost).map { "s\($0)" }

    private static func configuration(_ world: World, _ receiver: WebhookReceiver, log: String) -> String {
        let sources = self.names.indices.map { number in
            let url = world.upstreams[number % self.hosts].url("/\(number)")
            return "  s\(number): { url: \"\(url)\", interval: 10ms, max_interval: 50ms, timeout: 1s }"
        }
        return """
            log: { path: \(log), max_bytes: 1MiB }
            cache: { max_bytes: 1MiB }
            webhooks:
              crm: { url: "\(receiver.url)", sources: ["*"], secret: \(WebhookReceiver.secret) }
            sources:
            \(sources.joined(separator: "\n"))
            """
    }

    @Test("with one answer in twenty a fault memory and descriptors stay flat, and all end with the last value")
    func faults() async throws {
        let world = try World()
        let receiver = SoakReceiver(try ScriptedUpstream())
        let folder = try TemporaryFolder()
        let begin = ContinuousClock.now
        let gateway = try Gateway(Self.configuration(world, receiver.checked, log: folder.path("changes.db")))
        let endpoint = try await gateway.process.endpoint()
        let readers = (0..<8).map { number in
            Task {
                // Subscribers that come and go, and come back with their cursors.
                var last: String?
                while !Task.isCancelled {
                    let path = "/v1/streams/s\(number),s\(number + 1)"
                    guard let stream = try? EventStreamClient(endpoint, path: path, lastEventID: last) else { continue }
                    for _ in 0..<50 {
                        guard let event = try? await stream.next() else { break }
                        if !event.lastEventID.isEmpty { last = event.lastEventID }
                    }
                    await stream.close()
                }
            }
        }
        var usages: [ProcessUsage] = []
        for eighth in 2...8 {
            #expect(await world.waitForPolls(Self.polls * eighth / 8))
            usages.append(try gateway.process.usage())
        }
        let (early, late) = (usages.prefix(3), usages.suffix(3))
        let memory = (early.map(\.residentBytes).max() ?? 0, late.map(\.residentBytes).max() ?? .max)
        let descriptors = (early.map(\.descriptors).max() ?? 0, late.map(\.descriptors).max() ?? .max)
        let threads = (early.map(\.threads).max() ?? 0, late.map(\.threads).max() ?? .max)
        let figures = "\(Self.polls) polls: \(usages.map { ($0.residentBytes >> 20, $0.descriptors, $0.threads) })"
        print("soak: \(figures)")
        #expect(memory.1 <= memory.0 + memory.0 / 10 + Self.slack, "\(figures)")
        #expect(descriptors.1 <= descriptors.0 + 16, "\(figures)")
        #expect(threads.1 <= threads.0 + 2, "\(figures)")

        world.isCalm.store(true, ordering: .relaxed)
        let goal = try Document(parsing: Array(World.last.utf8))
        let deadline = ContinuousClock.now + .patience
        for name in Self.names {
            while try await gateway.document("/v1/values/\(name)") != goal {
                try #require(ContinuousClock.now < deadline, "\(name) does not get its last value")
            }
        }
        for reader in readers { reader.cancel() }
        for reader in readers { await reader.value }
        #expect(receiver.checked.problems.isEmpty, "\(receiver.checked.problems.prefix(3))")
        // F86: at most ten lines a minute of each.
        let minutes = Int((ContinuousClock.now - begin) / .seconds(60)) + 2
        let lines = gateway.process.errors.split(separator: "\n")
        for name in Self.names {
            let count = lines.count { $0.contains(" source=\(name) ") || $0.hasSuffix(" source=\(name)") }
            #expect(count <= 10 * minutes, "\(name): \(count) lines in \(minutes) minutes")
        }
        #expect(try await gateway.terminate() == .exited(0))
    }
}

/// A receiver that refuses one message in twenty.
private struct SoakReceiver {
    let checked: WebhookReceiver

    init(_ upstream: ScriptedUpstream) {
        let count = Watched(0)
        self.checked = WebhookReceiver(upstream) { _ in
            let number = count.update { count in
                count += 1
                return count
            }
            return .status(number % 20 == 0 ? 500 : 204)
        }
    }
}
