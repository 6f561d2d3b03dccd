// Change events as CloudEvents 1.0 (CONTRACT §14, `envelope=cloudevents`).

import HTTPFields
import JSON

/// What the `data` of a change event is. Equal for all subscribers of a frame.
package enum StreamEnvelope: String, CaseIterable, Sendable {
    /// The object of CONTRACT §4. The default.
    case plain
    /// A CloudEvent in structured mode, whose `data` is that object.
    case cloudEvents = "cloudevents"
}

/// The attributes of one change event as a CloudEvent (CloudEvents 1.0.2, JSON format 1.0.2 §3).
///
/// `source` and `id` name the change: the stream of its source, and its cursor. Both stay the same over restarts for as long
/// as the log does, and without a log another process draws another epoch, so that no two changes share both. The events of
/// one change in other modes and views have them too, and a snapshot has those of the change that made its value.
struct CloudEvent {
    /// The name of the changed source.
    var source: String
    var at: WallTime
    /// The change.
    var cursor: Cursor

    /// The digits of `sequence`: those of the largest number there is, so that texts sort as numbers do.
    private static let sequenceDigits = 20
    /// About the bytes of the attributes, without the name of the source.
    static let attributeBytes = 260

    /// Appends the event up to its `data`, which comes next, and then ``end``.
    ///
    /// `event` is the name of the event: `patch`, `merge`, `items`, `snapshot` or `checkpoint`.
    func appendHead(_ event: String, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: #"{"specversion":"1.0","id":"\#(self.cursor)","source":"#.utf8)
        // A name has no character that a path would have to encode; an instance's has its values encoded already.
        appendJSONString("/v1/streams/\(self.source)", to: &bytes)
        bytes.append(contentsOf: #","type":"freshet.\#(event)","time":""#.utf8)
        bytes.append(contentsOf: self.at.rfc3339)
        bytes.append(contentsOf: #"","datacontenttype":"application/json","sequence":""#.utf8)
        bytes.appendDigits(self.cursor.sequence, width: Self.sequenceDigits)
        bytes.append(contentsOf: #"","data":"#.utf8)
    }

    static let end = UInt8(ascii: "}")
}
