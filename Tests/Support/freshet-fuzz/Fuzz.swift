// Fuzzes one reader until something differs: by libFuzzer, which follows the branches that inputs take, or by random changes
// alone where the toolchain has none.

import FreshetFuzzing
import Glibc
import System

#if LIBFUZZER
    /// libFuzzer's own loop, with its options among the arguments. The convention of C and of Swift is the same for these.
    @_silgen_name("LLVMFuzzerRunDriver")
    private func runDriver(
        _ count: UnsafeMutablePointer<CInt>,
        _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
        _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
    ) -> CInt
#endif

/// `freshet-fuzz TARGET SECONDS [OPTION OF LIBFUZZER…]`.
@main
struct Fuzz {
    /// What is fuzzed: set before the first input.
    nonisolated(unsafe) private static var target = FuzzTarget.json

    static func main() {
        let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: "|")
        guard CommandLine.arguments.count >= 3, let target = FuzzTarget(rawValue: CommandLine.arguments[1]),
            let seconds = Int(CommandLine.arguments[2])
        else {
            print("usage: freshet-fuzz \(names) SECONDS [OPTION OF LIBFUZZER…]")
            exit(64)
        }
        self.target = target
        self.run(seconds: seconds, Array(CommandLine.arguments.dropFirst(3)))
    }

    private static func check(_ input: [UInt8]) {
        guard let difference = self.target.difference(in: input) else { return }
        print("\(self.target.rawValue): \(difference)\n\(String(decoding: input, as: UTF8.self).debugDescription)")
        // libFuzzer writes the input down when the process ends so.
        abort()
    }

    #if LIBFUZZER
        private static func run(seconds: Int, _ options: [String]) {
            let own = ["-max_total_time=\(seconds)", "-max_len=\(FuzzTarget.maxBytes)", "-timeout=30"]
            let words = (["freshet-fuzz"] + own + options).map { strdup($0) } + [nil]
            var count = CInt(words.count - 1)
            let arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: words.count)
            arguments.initialize(from: words, count: words.count)
            var vector = arguments
            exit(
                runDriver(&count, &vector) { bytes, length in
                    Fuzz.check(Array(UnsafeBufferPointer(start: bytes, count: length)))
                    return 0
                }
            )
        }
    #else
        private static func run(seconds: Int, _ options: [String]) {
            var generator = SystemRandomNumberGenerator()
            let end = ContinuousClock.now + .seconds(seconds)
            var rounds = 0
            while ContinuousClock.now < end {
                let seed = UInt64.random(in: 0...UInt64.max, using: &generator)
                if let (input, difference) = self.target.search(seed: seed, rounds: 1000) {
                    print("\(self.target.rawValue): seed \(seed): \(difference)")
                    print(String(decoding: input, as: UTF8.self).debugDescription)
                    exit(1)
                }
                rounds += 1000
            }
            print("\(self.target.rawValue): \(rounds) inputs")
        }
    #endif
}
