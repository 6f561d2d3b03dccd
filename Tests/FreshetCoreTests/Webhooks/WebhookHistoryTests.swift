import FreshetCore
import System
import Testing

/// Random histories of changes, refusals, crashes, pauses and lost rows, in both orders, against the rules that
/// ``WebhookWorld`` checks.
@Suite("Webhooks: random histories")
struct WebhookHistoryTests {
    @Test("nothing is lost, ids keep their bodies, and order holds, whatever is refused and whenever it crashes")
    func histories() {
        for seed in 0..<UInt64(150) {
            let problems = Self.run(seed: seed)
            #expect(problems.isEmpty, "seed \(seed): \(problems.prefix(3))")
            guard problems.isEmpty else { return }
        }
    }

    private static func run(seed: UInt64) -> [String] {
        var random = SplitMix64(seed: seed)
        let order: WebhookConfiguration.Order = seed % 2 == 0 ? .source : .item
        var limits = WebhookLimits()
        limits.ahead = Int.random(in: 1...30, using: &random)
        limits.heldBytes = Int.random(in: 1...400, using: &random)
        limits.eventsPerReading = Int.random(in: 1...8, using: &random)
        var world = WebhookWorld(
            WebhookConfiguration(
                name: "w",
                order: order,
                maxInFlight: Int.random(in: 1...6, using: &random)
            ),
            limits: limits
        )
        let losesPast = seed % 5 == 0
        for _ in 0..<300 { self.step(&world, order, losesPast: losesPast, &random) }
        // From here on it accepts everything.
        world.machine.resume(now: world.now, at: world.wall)
        for _ in 0..<5000 where world.problems.isEmpty {
            world.settle()
            guard !world.inFlight.isEmpty else {
                guard let due = world.machine.deadline, due > world.now else { break }
                world.now = due
                continue
            }
            world.end(Int.random(in: 0..<world.inFlight.count, using: &random), 200)
        }
        if !world.isComplete { world.problems.append("something is lost") }
        if world.machine.cursor.sequence != world.head { world.problems.append("the cursor is not at the head") }
        if world.machine.heldBytes != 0 || world.machine.refusedCount != 0 {
            world.problems.append("something is left")
        }
        return world.problems
    }

    private static func step(
        _ world: inout WebhookWorld,
        _ order: WebhookConfiguration.Order,
        losesPast: Bool,
        _ random: inout SplitMix64
    ) {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<35:
            var items: [String]?
            if order == .item, Int.random(in: 0..<8, using: &random) > 0 {
                items = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                    "i\(Int.random(in: 0..<6, using: &random))"
                }
                items = items.map { Array(Set($0)) }
            }
            world.append(Int.random(in: 0..<3, using: &random), items, isReproducible: Bool.random(using: &random))
        case 35..<75:
            guard !world.inFlight.isEmpty else { break }
            let status = [200, 200, 200, 204, 400, 500, 503, 429].randomElement(using: &random) ?? 200
            let index = Int.random(in: 0..<world.inFlight.count, using: &random)
            world.end(index, status, jitter: Double.random(in: 0..<1, using: &random))
        case 75..<85: world.keepRow()
        case 85..<92: world.now = world.now + .seconds(Int64.random(in: 1...4000, using: &random))
        case 92..<95: world.crash()
        case 95: world.machine.pause(now: world.now, at: world.wall)
        case 96, 97: world.machine.resume(now: world.now, at: world.wall)
        case 98 where losesPast: world.floor = max(world.floor, world.head - min(world.head, 5))
        case _: world.turn()
        }
        if Bool.random(using: &random) { world.turn() }
    }
}
