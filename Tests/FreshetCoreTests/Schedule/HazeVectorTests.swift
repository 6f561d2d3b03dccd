import Foundation
import Testing

@testable import FreshetCore

@Suite("HAZE vectors", .enabled(if: PollingReference.isPresent, "no polling reference: set FRESHET_POLLING"))
struct HazeVectorTests {
    private struct Vectors: Decodable {
        var t0: Double
        var first_poll: Double
        var theta: Double
        var min: Double
        var max: Double
        var decisions: [Decision]

        struct Decision: Decodable {
            var at: Double
            var changed: Bool
            var next: Double

            init(from decoder: any Decoder) throws {
                var values = try decoder.unkeyedContainer()
                self.at = try values.decode(Double.self)
                self.changed = try values.decode(Bool.self)
                self.next = try values.decode(Double.self)
            }
        }
    }

    @Test(
        "every decision is the reference's, to a tenth of a second, whatever the monotonic axis",
        arguments: [0.0, 1_331_000_000]
    )
    func decisions(wallOffset: Double) throws {
        let vectors = try JSONDecoder().decode(Vectors.self, from: PollingReference.data("testvectors.json"))
        try #require(vectors.decisions.count == 217)
        let origin = vectors.t0 - wallOffset
        var model = Haze(now: origin, wallOffset: wallOffset)
        var now = origin + vectors.first_poll
        var worst = 0.0
        for decision in vectors.decisions {
            model.observe(now: now, changed: decision.changed)
            now += max(vectors.min, model.due(theta: vectors.theta, horizon: vectors.max) - now)
            worst = max(worst, abs(now - origin - decision.next))
        }
        #expect(worst < 0.1)
        print("vectors: worst difference \(worst) s")
    }

    @Test("a stored state goes on as the original would")
    func storedState() throws {
        let vectors = try JSONDecoder().decode(Vectors.self, from: PollingReference.data("testvectors.json"))
        var model = Haze(now: vectors.t0)
        var now = vectors.t0 + vectors.first_poll
        for decision in vectors.decisions {
            model.observe(now: now, changed: decision.changed)
            now = model.due(theta: vectors.theta, horizon: vectors.max)
            model = try #require(Haze(encoded: model.encoded, now: now))
            #expect(abs(now - vectors.t0 - decision.next) < 0.1)
        }
    }
}
