import Foundation
import FreshetTesting
import Testing

@testable import freshet

@Suite("Memory: F77")
struct MemoryWatchTests {
    @Test("F77: the tightest limit of the groups around the process counts, less the files that the kernel takes back")
    func group() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.path("pods/freshet"), withIntermediateDirectories: true)
        try folder.write("max\n", to: "memory.max")
        try folder.write("268435456\n", to: "pods/memory.max")
        try folder.write("100000000\n", to: "pods/memory.current")
        try folder.write("anon 1\ninactive_file 30000000\n", to: "pods/memory.stat")
        try folder.write("max\n", to: "pods/freshet/memory.max")
        let watch = MemoryWatch(configured: nil, root: folder.path(""), membership: "0::/pods/freshet\n")
        #expect(watch.reading == .init(used: 70_000_000, limit: 268_435_456))
    }

    @Test("what is configured below that counts instead, against the process's own pages")
    func configured() throws {
        let folder = try TemporaryFolder()
        try folder.write("268435456\n", to: "memory.max")
        try folder.write("100000000\n", to: "memory.current")
        let watch = MemoryWatch(configured: 64 << 20, root: folder.path(""), membership: "0::/\n")
        #expect(watch.reading.limit == 64 << 20)
        #expect(watch.reading.used > 1 << 20 && watch.reading.used != 100_000_000)
    }

    @Test("without a limit there is the machine's", arguments: ["", "0::/none\n", "1:cpu:/a\n", "0::/../..\n"])
    func machine(membership: String) throws {
        let folder = try TemporaryFolder()
        let reading = MemoryWatch(configured: nil, root: folder.path("x"), membership: membership).reading
        #expect(reading.limit > 64 << 20 && reading.used > 0 && reading.used < reading.limit)
    }
}
