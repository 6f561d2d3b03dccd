import FreshetCore
import JSON

/// A subscriber with a socket of limited room, and a checker of what comes out of it: it holds the values that its
/// events build up and objects to any event that does not follow.
struct SimulatedSubscriber {
    let subscription: Subscription
    var machine = SubscriberStateMachine(after: 0)
    /// Frames that the socket takes before it is full.
    var room: Int
    /// Of an opening or a skip: goes out whole before anything else.
    var pending: [Frame] = []
    var wasLive = false

    /// What the client side has built up, by source name.
    private(set) var held: [String: Int]
    /// The last `id` that the client side saw.
    private(set) var lastEventID: String?
    private(set) var objections: [String] = []
    private(set) var gaps = 0
    /// What each id that was seen stood for.
    private(set) var seen: [String: String] = [:]
    private var isRebuilding: Bool

    init(subscription: Subscription, room: Int, held: [String: Int] = [:], lastEventID: String? = nil) {
        self.subscription = subscription
        self.room = room
        self.held = held
        self.lastEventID = lastEventID
        self.isRebuilding = lastEventID == nil
    }

    /// The client side reads one event.
    mutating func receive(_ frame: Frame) {
        let lines = String(decoding: frame.bytes[frame.payload], as: UTF8.self).split(separator: "\n")
        let id = lines.first { $0.hasPrefix("id: ") }?.dropFirst(4)
        let name = lines.first { $0.hasPrefix("event: ") }?.dropFirst(7)
        guard let data = lines.first(where: { $0.hasPrefix("data: ") })?.dropFirst(6) else { return }
        switch name {
        case "gap":
            self.gaps += 1
            self.isRebuilding = true
        case "snapshot", "patch", "merge":
            self.changeReceived(name: String(name ?? ""), data: String(data), id: id.map(String.init))
        case _:
            self.objections.append("unexpected event \(name ?? "-")")
        }
    }

    private mutating func changeReceived(name: String, data: String, id: String?) {
        guard let source = Self.text(after: #""source":""#, in: data),
            let number = Self.number("n", in: data, event: name), let previous = Self.number("p", in: data, event: name)
        else {
            self.objections.append("unreadable: \(data)")
            return
        }
        if let id, let cursor = Cursor(id) {
            if cursor.sequence > 0 { self.seen[id] = "\(source) \(number)" }
            if let last = self.lastEventID.flatMap({ Cursor($0) }), last.epoch == cursor.epoch, !self.isRebuilding,
                cursor.sequence <= last.sequence
            {
                self.objections.append("\(id) after \(last): doubled or reordered")
            }
            self.lastEventID = id
            self.isRebuilding = cursor.sequence == 0
        }
        if name != "snapshot", self.held[source] != previous {
            let held = self.held[source].map(String.init) ?? "nothing"
            self.objections.append("\(source): \(name) from \(previous) to \(number) on \(held)")
        }
        self.held[source] = number
    }

    private static func number(_ name: String, in data: String, event: String) -> Int? {
        let key = event == "patch" ? #""path":"/\#(name)","value":"# : #""\#(name)":"#
        return self.text(after: key, in: data).flatMap { Int($0) }
    }

    private static func text(after key: String, in data: String) -> String? {
        guard let range = data.firstRange(of: key) else { return nil }
        return String(data[range.upperBound...].prefix { !",\"}".contains($0) })
    }
}
