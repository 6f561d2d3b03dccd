import FreshetCore
import JSON
import Testing

@Suite("Which values are believed at once")
struct ChangeGuardTests {
    /// A collection in one of the shapes that upstreams have.
    enum Shape: String, CaseIterable, Sendable {
        case array, nested, features, keyed, wrapped

        func value(items: Int) -> String {
            let records = (0..<items).map {
                #"{"id":\#($0),"name":"station \#($0)","state":"open since this morning"}"#
            }
            let list = records.joined(separator: ",")
            switch self {
            case .array: return "[\(list)]"
            case .nested: return #"{"meta":{"count":\#(items)},"data":{"stations":[\#(list)]}}"#
            case .features:
                let features = (0..<items).map { #"{"type":"Feature","id":"f\#($0)","properties":{"mag":\#($0)}}"# }
                return
                    #"{"type":"FeatureCollection","count":\#(items),"features":[\#(features.joined(separator: ","))]}"#
            case .keyed:
                let members = records.enumerated().map { #""s\#($0.offset)":\#($0.element)"# }
                return "{\(members.joined(separator: ","))}"
            case .wrapped: return #"{"result":[\#(list)],"generated":"\#(items)"}"#
            }
        }
    }

    @Test(
        "F33: one answer that lost most of any collection makes no change, a second one does",
        arguments: Shape.allCases
    )
    func massDeletion(shape: Shape) {
        for left in [0, 1, 5] {
            var trace = Trace()
            let (full, rest) = (shape.value(items: 40), shape.value(items: left))
            _ = trace.poll(.body(full, etag: "\"full\""))
            #expect(trace.poll(.body(rest, etag: "\"rest\"")).change == nil)
            #expect(trace.machine.status.intervalReason.contains("is waiting for confirmation"))
            #expect(trace.poll(.notModified()).change == nil, "the glitch is over")
            #expect(!trace.machine.status.intervalReason.contains("is waiting for confirmation"))
            #expect(trace.poll(.body(rest, etag: "\"rest\"")).change == nil, "confirmations must be in a row")
            #expect(trace.poll(.body(rest, etag: "\"rest\"")).change != nil, "the season's real end")
            #expect(trace.requests.dropFirst().allSatisfy { $0.validators.etag == Array("\"full\"".utf8) })
        }
    }

    @Test(
        "F33: what replaces a value by something else entirely must be seen twice",
        arguments: ["null", "{}", "[]", "0"]
    )
    func replaced(other: String) {
        for shape in Shape.allCases {
            var trace = Trace()
            _ = trace.poll(.body(shape.value(items: 40)))
            #expect(trace.poll(.body(other)).change == nil)
            #expect(trace.poll(.body(other)).change != nil)
        }
    }

    @Test("F33: a long error in the place of a collection must be seen twice, too", arguments: Shape.allCases)
    func longError(shape: Shape) {
        var trace = Trace()
        let full = shape.value(items: 12)
        _ = trace.poll(.body(full))
        let error = #""\#(String(repeating: "try again later ", count: full.utf8.count / 16))""#
        let body = shape == .array ? #"{"error":\#(error)}"# : "[\(error)]"
        #expect(trace.poll(.body(body)).change == nil)
        #expect(trace.poll(.body(full)).change == nil)
        #expect(trace.poll(.body(body)).change == nil)
        #expect(trace.poll(.body(body)).change != nil)
    }

    @Test("F33: a shrunk value with a clock in it is believed in the end, though no two are equal")
    func clock() {
        var trace = Trace()
        _ = trace.poll(.body(Shape.wrapped.value(items: 40)))
        let changes = (0..<4).map { trace.poll(.body(#"{"result":[],"generated":"\#($0)"}"#)).change }
        #expect(changes.map { $0 != nil } == [false, false, false, true])
    }

    @Test("F33: growth, small collections and ordinary changes are believed at once")
    func ordinary() {
        var trace = Trace()
        for text in [
            "[1,2,3]", "[]", Shape.array.value(items: 40), Shape.array.value(items: 30), Shape.array.value(items: 21),
        ] {
            #expect(trace.poll(.body(text)).change != nil, "\(text.prefix(20))")
        }
        var never = Trace { $0.maxDeleteRatio = 1 }
        _ = never.poll(.body(Shape.array.value(items: 40)))
        #expect(never.poll(.body("[]")).change != nil, "max_delete_ratio: 1")
    }

    @Test("F33: with an adaptive interval the second look is not put off for as long as polls may be apart")
    func adaptive() {
        var trace = Trace {
            $0.interval = .adaptive
            $0.staleness = .seconds(20)
        }
        let full = Shape.array.value(items: 40)
        for _ in 0..<200 { _ = trace.poll(.body(full)) }
        #expect(trace.machine.nextPoll - trace.now > .seconds(60))
        #expect(trace.poll(.body("[]")).change == nil)
        #expect(trace.machine.nextPoll - trace.now <= .seconds(20))
    }

    @Test("F36: `settle` waits until a value is seen often enough in a row", arguments: [2, 3])
    func settle(polls: Int) {
        var trace = Trace { $0.settle = polls }
        #expect(trace.poll(.body("[1]")).change != nil, "the first value waits for nothing")
        for number in 1...polls { #expect((trace.poll(.body("[2]")).change != nil) == (number == polls)) }
    }

    @Test("F36: replicas that disagree make no events under `settle`, and are reported")
    func replicas() {
        var trace = Trace { $0.settle = 2 }
        _ = trace.poll(.body("[1]"))
        for poll in 0..<100 { #expect(trace.poll(.body(poll % 2 == 0 ? "[2]" : "[1]")).change == nil) }
        #expect(trace.machine.status.warnings.map(\.kind) == [.flapping])
        #expect(trace.machine.status.flaps == 50)
        _ = trace.poll(.body("[2]"))
        #expect(trace.poll(.body("[2]")).change != nil)
        for _ in 0..<20 { _ = trace.poll(.body("[2]")) }
        #expect(trace.machine.status.warnings.isEmpty)
    }

    @Test("F36: without `settle` every flip is told, since it may be true, and counted")
    func flips() {
        var trace = Trace()
        for poll in 0..<10 { #expect(trace.poll(.body("[\(poll % 2)]")).change != nil) }
        #expect(trace.machine.status.flaps == 8)
        #expect(trace.machine.status.warnings.map(\.kind) == [.flapping])
        var counter = Trace()
        for poll in 0..<10 { _ = counter.poll(.body("[\(poll)]")) }
        #expect(counter.machine.status.flaps == 0)
    }
}
