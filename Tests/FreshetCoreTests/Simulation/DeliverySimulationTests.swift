import FreshetCore
import Testing

@Suite("Delivery, simulated")
struct DeliverySimulationTests {
    @Test("F54–F58: thousands of subscribers get every event once and in order, or a gap", arguments: UInt64(1)...20)
    func everyEventOnce(seed: UInt64) throws {
        var simulation = try DeliverySimulation(seed: seed)
        for _ in 0..<3000 {
            try simulation.step()
        }
        try simulation.settle()
        #expect(simulation.objections == [])
        #expect(simulation.joins > 200)
        #expect(simulation.resumes > 50)
        #expect(simulation.stops > 50)
    }

    @Test("F58: a small cache evicts under readers, and each is told")
    func evictions() throws {
        var simulation = try DeliverySimulation(seed: 99, cacheBytes: 6000)
        for _ in 0..<3000 {
            try simulation.step()
        }
        try simulation.settle()
        #expect(simulation.objections == [])
        #expect(simulation.gaps > 20)
    }
}

@Test(
    "F61–F65, F90: crashes, failing disks and pruning lose nothing that was sent, and no id has two contents",
    arguments: DeliverySimulation.seeds
)
func crashes(seed: UInt64) throws {
    var simulation = try DeliverySimulation(seed: seed, hasStore: true)
    for _ in 0..<1500 {
        try simulation.step()
    }
    try simulation.settle()
    #expect(simulation.objections == [], "make simulate SEEDS=\(seed)")
    #expect(simulation.crashes > 3)
}
