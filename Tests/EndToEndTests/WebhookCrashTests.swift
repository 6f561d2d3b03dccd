// Webhooks over kill -9, and beside endpoints that are dead or slow.

import Foundation
import FreshetTesting
import JSON
import Testing

@Suite("Webhooks in trouble", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct WebhookCrashTests {
    /// `FRESHET_WEBHOOK_LOOPS`; 25 by default.
    private static let loops = Int(ProcessInfo.processInfo.environment["FRESHET_WEBHOOK_LOOPS"] ?? "") ?? 25

    @Test(
        "F61: over kill -9 nothing is lost, ids keep their bodies, and order holds although messages are refused",
        arguments: [("source", "snapshot"), ("item", "items")]
    )
    func killed(order: String, mode: String) async throws {
        let upstream = try ScriptedUpstream()
        let versions = Watched(0)
        upstream.on("/value") { _ in
            let number = versions.update { number -> Int in
                number += 1
                return number
            }
            return [.respond(.json(Self.value(number)))]
        }
        // Some requests are refused, at first.
        let refuses = Watched(true)
        let receiver = WebhookReceiver(upstream) { request in
            refuses.value && request.number % 9 == 0 ? .status(request.number % 2 == 0 ? 500 : 503) : .status(204)
        }
        let folder = try TemporaryFolder()
        let file = try folder.write(
            """
            listen: 127.0.0.1:0
            log: { path: "\(folder.path("changes.db"))" }
            sources:
              value: { url: "\(upstream.url("/value"))", interval: 10ms, items: "/items", key: /id }
            webhooks:
              crm:
                url: "\(receiver.url)"
                sources: [value]
                mode: \(mode)
                order: \(order)
                secret: \(WebhookReceiver.secret)
            """,
            to: "freshet.yaml"
        )
        for life in 0..<Self.loops {
            let process = try FreshetProcess(["serve", "--config", file])
            let client = try await process.client()
            #expect(try await client.send("POST", "/v1/admin/webhooks/crm/resume").status == 200)
            // At least one message in each life; and then the kill comes at any moment.
            let wanted = receiver.state.value.requests + Int.random(in: 1...8)
            let end = ContinuousClock.now + .patience
            while await !receiver.waitForRequests(wanted, timeout: .milliseconds(100)) {
                try #require(ContinuousClock.now < end, "life \(life): \(process.errors)")
                // Something was refused: resumed, it does not wait for its time.
                _ = try await client.send("POST", "/v1/admin/webhooks/crm/resume")
            }
            // The moment of the kill is random: this is what the test is about.
            try await Task.sleep(for: .microseconds(Int.random(in: 0...15_000)))
            process.send(SIGKILL)
            #expect(try await process.exitStatus() == .killed(signal: SIGKILL))
        }
        refuses.update { $0 = false }
        let process = try FreshetProcess(["serve", "--config", file])
        let client = try await process.client()
        #expect(try await client.send("POST", "/v1/admin/sources/value/pause").status == 200)
        #expect(try await client.send("POST", "/v1/admin/webhooks/crm/resume").status == 200)
        try await Self.waitUntilCaughtUp(client)
        try await Self.compare(receiver, with: client, mode: mode, order: order)
        print("webhooks: \(Self.loops) kills, \(receiver.accepted.count) accepted of \(receiver.state.value.requests)")
        #expect(try await process.terminate() == .exited(0))
    }

    /// One item changes with every version, and sometimes two or three; each rises alone.
    private static func value(_ number: Int) -> String {
        let items = (0..<5).map { index -> String in
            // The last version in which this item changed.
            let last = number - (number - index + 5) % 5
            return #"{"id":"i\#(index)","n":\#(index < 2 ? max(last, number - number % 7) : last)}"#
        }
        return #"{"items":[\#(items.joined(separator: ","))]}"#
    }

    private static func waitUntilCaughtUp(_ client: HTTPTestClient) async throws {
        var end = ContinuousClock.now + .patience
        var rest = Int.max
        while true {
            let list = try Document(parsing: try await client.get("/v1/admin/webhooks").body)
            let state = try #require(list.root["webhooks"]?[0])
            if state["lag"]?.int == 0, state["refused"]?.int == 0 { return }
            // After many kills there is much to catch up with.
            if let lag = state["lag"]?.int, lag < rest { (rest, end) = (lag, .now + .patience) }
            try #require(ContinuousClock.now < end, "\(String(decoding: state.text, as: UTF8.self))")
            // The list is no stream: it is asked for again.
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Holds what was accepted against the log.
    private static func compare(
        _ receiver: WebhookReceiver,
        with client: HTTPTestClient,
        mode: String,
        order: String
    ) async throws {
        #expect(receiver.problems.isEmpty, "\(receiver.problems.prefix(3))")
        var events: [Value] = []
        var cursor = "earliest"
        while true {
            let page = try Document(
                parsing: try await client.get("/v1/changes/value?since=\(cursor)&limit=1000&mode=\(mode)").body
            )
            events += try #require(page.root["events"]).elements.filter { $0["event"]?.string != "checkpoint" }
            guard let next = page.root["cursor"]?.string, next != cursor, page.root["events"]?.count != 0 else { break }
            cursor = next
        }
        let ids = events.compactMap { $0["id"]?.string }.map { "msg_crm_\($0)" }
        let accepted = receiver.accepted
        #expect(Set(ids) == Set(accepted.map(\.id)), "lost or made up: \(ids.count) in the log, \(accepted.count) came")
        guard order == "item" else {
            #expect(accepted.map(\.id) == ids)
            return
        }
        // By item: the versions of each only rise.
        var newest: [String: Int] = [:]
        for message in accepted {
            guard let data = message.document?.root["data"] else { continue }
            let items = [data["items"]?["updated"], data["items"]?["created"], data["value"]?["items"]]
            for item in items.compactMap({ $0 }).flatMap({ Array($0.elements) }) {
                let (id, version) = (item["id"]?.string ?? "", item["n"]?.int ?? 0)
                #expect(version >= newest[id] ?? .min, "\(message.id): \(id) goes back")
                newest[id] = version
            }
        }
    }

    @Test("a hundred endpoints, one dead and one that hangs: the others wait no longer for it")
    func hundred() async throws {
        let alone = try await Self.delays(withTrouble: false)
        let beside = try await Self.delays(withTrouble: true)
        print("webhooks: p99 of 98 endpoints \(alone) alone, \(beside) beside a dead and a slow one")
        #expect(beside <= alone * 1.5 + .milliseconds(50))
    }

    /// The 99th percentile of the times from a push to its arrival.
    private static func delays(withTrouble: Bool) async throws -> Duration {
        let upstream = try ScriptedUpstream()
        let receivers = (0..<98).map { WebhookReceiver(upstream, at: "/in/\($0)") }
        let gate = try Gate()
        defer { gate.open() }
        upstream.on("/slow") { _ in [.hold(gate), .respond(.status(204))] }
        // A port that nobody listens on.
        let dead = try ScriptedUpstream()
        let deadURL = dead.url("/in")
        await dead.stop()
        let secret = WebhookReceiver.secret
        var webhooks = receivers.enumerated().map { index, receiver in
            "  w\(index): { url: \"\(receiver.url)\", sources: [orders], secret: \(secret) }"
        }
        if withTrouble {
            webhooks.append("  dead: { url: \"\(deadURL)\", sources: [orders], secret: \(secret) }")
            webhooks.append(
                "  slow: { url: \"\(upstream.url("/slow"))\", sources: [orders], secret: \(secret), timeout: 30s }"
            )
        }
        let gateway = try Gateway("sources: { orders: {} }\nwebhooks:\n\(webhooks.joined(separator: "\n"))")
        var delays: [Duration] = []
        for round in 1...20 {
            let start = ContinuousClock.now
            try await gateway.push("[\(round)]")
            for receiver in receivers { #expect(await receiver.waitForAccepted(round)) }
            delays += receivers.compactMap { $0.accepted.last.map { $0.receivedAt - start } }
        }
        #expect(receivers.allSatisfy { $0.problems.isEmpty })
        return delays.sorted()[delays.count * 99 / 100]
    }
}
