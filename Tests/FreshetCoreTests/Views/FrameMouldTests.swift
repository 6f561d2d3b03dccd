import JSON
import Testing

@testable import FreshetCore

@Suite("Frames of one event in many views")
struct FrameMouldTests {
    @Test("are byte for byte those that are encoded one by one, in every mode and wire", arguments: StreamWire.allCases)
    func equal(wire: StreamWire) {
        let id = Cursor(epoch: Epoch(rawValue: 41), sequence: 1234)
        let at = WallTime(milliseconds: 1_700_000_000_123)
        let envelope = EventEnvelope(source: "user/a%2Fb", at: at, cursor: id)
        var moulds = FrameMoulds(envelope, id: id)
        let items = #"{"created":[],"updated":[{"id":1}],"deleted":[]}"#
        for text in ["1", items, String(repeating: "9", count: 5000), "null"] {
            for mode in StreamMode.allCases {
                let alone = envelope.frame(mode, Array(text.utf8), id: id, wire: wire)
                let frame = moulds.frame(mode, Array(text.utf8), wire: wire)
                #expect(frame.bytes[frame.chunk] == alone.bytes[alone.chunk])
                #expect(frame.bytes[frame.payload] == alone.bytes[alone.payload])
                #expect(frame.bytes[frame.data] == alone.bytes[alone.data])
                #expect(frame.mark == alone.mark)
            }
        }
    }
}
