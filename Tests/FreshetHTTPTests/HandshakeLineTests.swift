import NIOEmbedded
import Testing

@testable import FreshetHTTP

@Suite("Handshakes in line")
struct HandshakeLineTests {
    /// What was done, in order.
    private final class Log {
        var steps: [String] = []
    }

    private func waiting(_ counters: TLSCounters) -> String {
        var text: [UInt8] = []
        counters.write(to: &text)
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        return lines.first { $0.hasPrefix("freshet_tls_handshakes_waiting ") }.map(String.init) ?? ""
    }

    @Test("the first has its turn at once, the others one by one, with the event loop's other work between them")
    func oneByOne() {
        let (loop, counters, log) = (EmbeddedEventLoop(), TLSCounters(), Log())
        let line = HandshakeLine(loop, counters)
        for number in 1...3 {
            line.enter {
                log.steps.append("\(number)")
                return true
            }
        }
        #expect(log.steps == ["1"])
        #expect(self.waiting(counters) == "freshet_tls_handshakes_waiting 2")
        for _ in 0..<2 {
            log.steps.append("other")
            loop.advanceTime(by: HandshakeLine.pause)
        }
        #expect(log.steps == ["1", "other", "2", "other", "3"])
        #expect(self.waiting(counters) == "freshet_tls_handshakes_waiting 0")
        loop.advanceTime(by: HandshakeLine.pause)
        line.enter {
            log.steps.append("4")
            return true
        }
        #expect(log.steps.last == "4")
    }

    @Test("one that has gone away takes no turn")
    func gone() {
        let (loop, counters, log) = (EmbeddedEventLoop(), TLSCounters(), Log())
        let line = HandshakeLine(loop, counters)
        line.enter { false }
        for (name, isThere) in [("a", true), ("b", false), ("c", true)] {
            line.enter {
                if isThere { log.steps.append(name) }
                return isThere
            }
        }
        #expect(log.steps == ["a"])
        loop.advanceTime(by: HandshakeLine.pause)
        #expect(log.steps == ["a", "c"])
    }
}
