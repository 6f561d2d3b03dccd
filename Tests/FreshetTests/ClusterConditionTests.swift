// The line `cluster:` of `/readyz?verbose`.

import FreshetCluster
import Testing

@testable import freshet

@Suite("The condition of a cluster")
struct ClusterConditionTests {
    private func snapshot(_ hold: ClusterHold?) -> ClusterSnapshot {
        var snapshot = ClusterSnapshot()
        (snapshot.node, snapshot.nodes, snapshot.state) = ("a", ["a", "b"], .connected)
        (snapshot.hold, snapshot.isReading, snapshot.isEntitled) = (hold, hold == nil, hold == nil)
        return snapshot
    }

    @Test(
        "whoever is still joining says what it waits for",
        arguments: [
            (ClusterHold.foreignFormat, "another version of Freshet: run that one, or name another cluster.stream"),
            (.notAcknowledged("no"), "the broker does not acknowledge what this gateway writes: no"),
            (.reading(3, of: 9), "reading the stream, at 3 of 9"), (.nodes(["b", "c"]), "waiting for word of b, c"),
            (.lease, "waiting for the lease"), (.facts, "asking the broker"), (.epoch, "beginning an epoch"),
        ]
    )
    func joining(hold: ClusterHold, words: String) {
        let text = self.snapshot(hold).condition
        #expect(text.hasPrefix("joining ("))
        #expect(text.contains(words))
        #expect(text.hasSuffix("), node a of a, b"))
    }

    @Test("one source is one source, and one webhook one webhook")
    func counts() {
        var snapshot = self.snapshot(nil)
        snapshot.polled = ["rates", ClusterUnit.ofWebhook("crm")]
        #expect(snapshot.condition == "ok, node a of a, b, 1 source, 1 webhook")
        snapshot.polled = ["rates", "more", ClusterUnit.ofWebhook("crm"), ClusterUnit.ofWebhook("erp")]
        #expect(snapshot.condition == "ok, node a of a, b, 2 sources, 2 webhooks")
        snapshot.polled = []
        #expect(snapshot.condition == "ok, node a of a, b, 0 sources")
    }
}
