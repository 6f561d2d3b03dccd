import FreshetTesting
import Testing

@Suite("Delivery audit")
struct DeliveryAuditTests {
    private typealias Change = (version: Int?, id: String?)

    private func audit(_ changes: [Change]) -> DeliveryAudit {
        var audit = DeliveryAudit(subscribers: 1)
        for change in changes { audit.received(version: change.version, id: change.id, by: 0) }
        return audit
    }

    @Test("A23 an audit that has counted nothing has failed")
    func nothing() {
        #expect(DeliveryAudit(subscribers: 0).faults == ["no id was counted"])
        #expect(
            DeliveryAudit(subscribers: 2).faults == ["no id was counted", "2 subscribers that received nothing"]
        )
        #expect(self.audit([(1, nil), (2, "x")]).faults == ["no id was counted", "2 without an id"])
    }

    @Test("A23 versions that count on under ids that rise are sound, wherever they begin")
    func sound() {
        let audit = self.audit([(7, "e-70"), (8, "e-75"), (9, "e-76")])
        #expect(audit.faults.isEmpty)
        #expect(audit.ids == 3 && audit.events == 3)
    }

    @Test(
        "A23 what is lost, doubled or out of order is found",
        arguments: [
            ([1, 3], ["e-1", "e-3"], ["1 lost"]),
            ([1, 2, 2], ["e-1", "e-2", "e-3"], ["1 doubled"]),
            ([1, 2, 2], ["e-1", "e-2", "e-2"], ["1 doubled", "1 out of order"]),
            ([2, 1, 3], ["e-2", "e-1", "e-3"], ["1 doubled", "1 out of order"]),
            ([1, 2], ["e-9", "e-8"], ["1 out of order"]),
            ([1, 2], ["e-9", "9"], ["1 out of order"]),
            ([1, 2], ["e-9", ""], ["1 without an id"]),
            ([1, 5, 6], ["e-1", "e-5", "e-6"], ["3 lost"]),
        ]
    )
    func faults(versions: [Int], ids: [String], expected: [String]) {
        #expect(self.audit(zip(versions, ids).map { ($0, $1) }).faults == expected)
    }

    @Test("A23 the end of a history, gaps, ended streams and silent subscribers count")
    func ends() {
        var audit = DeliveryAudit(subscribers: 2)
        audit.received(version: 1, id: "e-1", by: 0)
        audit.historyEnded(at: 3, for: 0)
        audit.gapAnnounced(to: 0)
        audit.received(version: 9, id: "f-9", by: 0)
        audit.streamEnded(of: 0)
        #expect(
            audit.faults == ["2 lost", "1 gaps", "1 streams ended", "1 subscribers that received nothing"]
        )
    }

    @Test("A23 a change without a version is lost")
    func unversioned() {
        #expect(self.audit([(1, "e-1"), (nil, "e-2")]).faults == ["1 lost"])
    }
}
