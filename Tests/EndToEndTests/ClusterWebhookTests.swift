import FreshetTesting
import Glibc
import JSON
import NATS
import Testing

/// Webhooks of three gateways over three servers of NATS: one gateway sends to an endpoint, and what becomes of that when it is
/// killed. Takes some thirteen seconds.
@Suite(
    "Webhooks of a cluster",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: NATSConnection.isAvailable && NATSServer.program != nil, "skipped: no nats-server, or no libnats")
)
struct ClusterWebhookTests {
    private static let nodes = ["a", "b", "c"]

    /// The number in a message, of whatever mode.
    private static func number(_ message: WebhookReceiver.Message) -> Int? {
        let data = message.document?.root["data"]
        return data?["value"]?["n"]?.int ?? data?["patch"]?[0]?["value"]?.int
    }

    /// Waits for a message about a value that the upstream gave only after this moment.
    private static func waitForNews(_ receiver: WebhookReceiver, _ fixture: ClusterFixture) async -> Bool {
        let polls = fixture.polls.value
        return await receiver.state.wait(timeout: .patience) { state in
            state.accepted.last.flatMap { Self.number($0) }.map { $0 > polls + 3 } == true ? true : nil
        } ?? false
    }

    @Test("over kill -9 nothing is lost, order holds, and what comes twice has the same id and body")
    func life() async throws {
        let fixture = try ClusterFixture(try await NATSServer.cluster(of: 3))
        let patches = WebhookReceiver(fixture.upstream, at: "/patches")
        let values = WebhookReceiver(fixture.upstream, at: "/values")
        let webhooks = """
            webhooks:
              patches: { url: "\(patches.url)", sources: [value], secret: \(WebhookReceiver.secret) }
              values: { url: "\(values.url)", sources: [value], mode: snapshot, secret: \(WebhookReceiver.secret) }
            """
        for node in Self.nodes { try fixture.start(node, rest: webhooks) }
        #expect(await patches.waitForAccepted(10))
        #expect(await values.waitForAccepted(3))
        // What is refused waits for its time, whoever sends it then.
        values.answer(.status(500))
        let refused = await values.state.wait(timeout: .patience) { $0.requests > $0.accepted.count ? true : nil }
        #expect(refused == true)

        let owner = try await fixture.owner(ofWebhook: "patches", by: Self.nodes)
        let process = try fixture[owner].process
        process.send(SIGKILL)
        #expect(try await process.exitStatus() == .killed(signal: SIGKILL))
        let others = Self.nodes.filter { $0 != owner }
        #expect(await Self.waitForNews(patches, fixture))
        let successor = try await fixture.owner(ofWebhook: "patches", by: others)
        let last = try #require(others.first { $0 != successor })

        // Asked of the gateway that does not send, the one that does is paused, and says so everywhere.
        let paused = try await fixture[last].webhook("patches", "pause")
        #expect(paused.root["state"]?.string == "paused" && paused.root["owner"]?.string == successor)
        let tried = try await fixture[last].webhook("patches", "test")
        #expect(tried.root["outcome"]?.string == "delivered")
        for node in others { #expect(try await fixture[node].webhook("patches")["state"]?.string == "paused") }

        // The state is there after an orderly end, too.
        #expect(try await fixture[successor].terminate() == .exited(0))
        #expect(try await fixture.owner(ofWebhook: "patches", by: [last]) == last)
        try await fixture[last].waitForWebhook("patches") { $0["state"]?.string == "paused" }
        _ = try await fixture[last].webhook("patches", "resume")
        _ = try await fixture[last].webhook("values", "resume")
        #expect(await Self.waitForNews(patches, fixture))

        // All that was published is there, in its order, as the log has it.
        fixture.changes.update { $0 = false }
        for (receiver, mode, name) in [(patches, "patch", "patches"), (values, "snapshot", "values")] {
            try await fixture[last].waitForWebhook(name) { $0["lag"]?.int == 0 }
            let messages = receiver.accepted.filter { $0.id.hasPrefix("msg_") }
            let first = try #require(messages.first?.document?.root["id"]?.string)
            let lines = try await fixture.lines(last, after: first, mode: mode)
            let got = messages.dropFirst().map(\.text)
            #expect(receiver.problems.isEmpty, "\(mode): \(receiver.problems)")
            if mode == "patch" {
                #expect(got == lines && got.count > 10)
            } else {
                // The log gives the last value alone.
                let numbers = messages.compactMap { Self.number($0) }
                #expect(numbers == Array(Set(numbers)).sorted())
            }
            #expect(!receiver.accepted.contains { $0.id.hasPrefix("gap_") })
        }
        let text = try await fixture[last].client.get("/metrics").text
        #expect(text.contains("freshet_cluster_webhooks 2\n"))
    }
}
