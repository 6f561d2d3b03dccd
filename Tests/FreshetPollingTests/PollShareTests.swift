import FreshetCore
import FreshetUpstream
import Testing

@testable import FreshetPolling

@Suite("A gateway's part of the limits of polling")
struct PollShareTests {
    private let whole = HostQueue.Limits(concurrency: 6, gap: .seconds(1))

    @Test("the gap is as much longer as the part is smaller, and one request at a time is the least")
    func parts() throws {
        let known = try #require(Origin("http://known.example"))
        let other = try #require(Origin("https://other.example:8443"))
        #expect(self.whole.part(PollShare(), of: known) == self.whole)
        var share = PollShare()
        share.hosts["http://known.example:80"] = PollShare.Host(concurrency: 2, rate: 0.25)
        share.ofOtherHosts = 0.25
        #expect(
            self.whole.part(share, of: known) == HostQueue.Limits(concurrency: 2, gap: .seconds(4))
        )
        #expect(self.whole.part(share, of: other) == HostQueue.Limits(concurrency: 1, gap: .seconds(4)))
        share.hosts["http://known.example:80"] = PollShare.Host(concurrency: 0, rate: 0)
        #expect(
            self.whole.part(share, of: known) == HostQueue.Limits(concurrency: 1, gap: .seconds(1))
        )
    }
}
