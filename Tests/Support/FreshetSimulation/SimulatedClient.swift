// The far end of the streams: an application that builds up values from what it is sent, and objects to what does not
// follow.

import FreshetCore

/// One client, over all of its connections.
struct SimulatedClient: Sendable {
    let names: [String]
    let mode: StreamMode

    /// By source: the number of the value that it has built up.
    private(set) var held: [String: Int] = [:]
    /// What it sends when it comes back.
    private(set) var lastEventID: String?
    /// Everything up to here has been seen; `nil` where it begins or was told of a gap.
    private var position: Cursor?
    /// Snapshots replace what it has; until the last of them it is nowhere.
    private var isRebuilding = true
    /// What those snapshots stand for: nothing up to here is missing after them. `nil` where it was not told.
    private var rebuildsThrough: Cursor?
    /// One of those snapshots has come.
    private var hasSnapshot = false
    /// The position is that of the last of them, after which sources that were removed since may have changed.
    private var isPositionOfSnapshot = false
    /// What `hello` told, until the next event.
    private var helloCursor: Cursor?
    /// It asks for everything that is kept, from wherever that begins.
    private var startsEarly = false
    /// It came with an id that the log does not know, and has to be told so.
    private var expectsGap = false
    private(set) var gaps = 0
    private(set) var events = 0

    init(names: [String], mode: StreamMode) {
        self.names = names
        self.mode = mode
    }

    /// A client with an id from elsewhere.
    init(names: [String], mode: StreamMode, foreignID: String) {
        self.init(names: names, mode: mode)
        self.lastEventID = foreignID
        self.expectsGap = true
    }

    /// It comes back: with what its last id stands for.
    mutating func reconnects(startsEarly: Bool) {
        self.startsEarly = startsEarly
        self.helloCursor = nil
        guard let cursor = self.lastEventID.flatMap({ Cursor($0) }), cursor.sequence > 0 else {
            self.begin(at: nil)
            self.held = [:]
            return
        }
        guard !self.expectsGap else { return }
        self.begin(at: cursor)
    }

    private mutating func begin(at cursor: Cursor?) {
        self.position = cursor
        self.isRebuilding = cursor == nil
        self.rebuildsThrough = nil
        self.hasSnapshot = false
        self.isPositionOfSnapshot = false
    }

    /// What it has is replaced by snapshots of what there was at a cursor, of any number of sources.
    private mutating func rebuild(through cursor: Cursor?) {
        self.begin(at: nil)
        self.rebuildsThrough = cursor
    }

    /// Reads one event.
    mutating func receive(_ event: StreamReader.Event, _ ledger: Ledger) {
        let payload = event.payload
        // A heartbeat.
        guard payload.first != UInt8(ascii: ":") else { return }
        guard let type = Self.field("event: ", in: payload) else { return ledger.object("an event without a name") }
        let data = Array((Self.field("data: ", in: payload) ?? "").utf8)[...]
        let helloCursor = self.helloCursor
        self.helloCursor = nil
        switch type {
        case "hello":
            guard let cursor = Self.text(after: #""cursor":""#, in: data).flatMap({ Cursor($0) }) else {
                return ledger.object("a hello without a cursor")
            }
            self.helloCursor = cursor
            if self.isRebuilding, !self.startsEarly { self.rebuild(through: cursor) }
        case "gap":
            self.gaps += 1
            self.expectsGap = false
            // A stream that went on from where the client was, or began with no value, and found in the log that it
            // cannot go on, does not say how far its snapshots reach.
            let isLater =
                self.lastEventID.map { helloCursor?.description == $0 } ?? true || self.startsEarly
            self.rebuild(through: isLater ? nil : helloCursor)
        case "bye", "status":
            break
        case "snapshot", "patch", "merge":
            self.events += 1
            let id = Self.field("id: ", in: payload)
            guard let source = Self.text(after: #""source":""#, in: data),
                let number = Self.number(after: type == "patch" ? #""value":"# : #""n":"#, in: data)
            else { return ledger.object("unreadable: \(String(decoding: payload, as: UTF8.self))") }
            self.take(type, source, number, id: id, maySkip: event.maySkip, ledger)
        case _:
            ledger.object("unexpected event \(type)")
        }
    }

    private mutating func take(
        _ type: String,
        _ source: String,
        _ number: Int,
        id: String?,
        maySkip: Bool,
        _ ledger: Ledger
    ) {
        if self.expectsGap { ledger.object("\(self.lastEventID ?? "-") was taken without a gap") }
        if let id, let cursor = Cursor(id), cursor.sequence > 0 {
            self.endRebuilding(before: cursor, ledger)
            self.check(type, source, number, at: cursor, maySkip: maySkip, ledger)
            // A value may be of an epoch before that of the log; the stream goes on in the log's.
            let (isRebuilding, end) = (self.isRebuilding, self.isRebuilding ? self.rebuildsThrough : nil)
            self.begin(
                at: end.map { $0.epoch == cursor.epoch && $0.sequence < cursor.sequence ? cursor : $0 } ?? cursor
            )
            self.isPositionOfSnapshot = isRebuilding && end == nil
        } else if !self.isRebuilding {
            ledger.object("a \(type) of \(source) without a number")
        } else {
            self.hasSnapshot = true
        }
        if let id { self.lastEventID = id }
        self.held[source] = number
    }

    /// An event after what the snapshots stand for: there were none, of sources without a value.
    private mutating func endRebuilding(before cursor: Cursor, _ ledger: Ledger) {
        guard self.isRebuilding, let end = self.rebuildsThrough, ledger.between(end, cursor, of: []) != nil else {
            return
        }
        if self.hasSnapshot { ledger.object("\(cursor) came before the last of the snapshots") }
        self.begin(at: end)
    }

    /// Holds one event against the ledger: what its id stands for, what came before it, and what it builds upon.
    private func check(
        _ type: String,
        _ source: String,
        _ number: Int,
        at cursor: Cursor,
        maySkip: Bool,
        _ ledger: Ledger
    ) {
        guard let entry = ledger.entry(at: cursor) else { return ledger.object("\(cursor) was never issued") }
        if entry.source != source || entry.number != number {
            ledger.object("\(cursor) is \(entry.source) \(entry.number) and was sent as \(source) \(number)")
        }
        if type != "snapshot", self.held[source] != entry.previous {
            let held = self.held[source].map(String.init) ?? "nothing"
            ledger.object("\(cursor): a \(type) of \(source) from \(entry.previous ?? 0) to \(number) on \(held)")
        }
        guard let position, !self.isRebuilding else { return }
        let missed = ledger.between(position, cursor, of: self.names, isRemovedLeftOut: self.isPositionOfSnapshot)
        guard let missed else {
            return ledger.object("\(cursor) after \(position)")
        }
        // One that did not keep up may be given the newest value for several of one source.
        let isSkip = type == "snapshot" && (maySkip || self.mode == .snapshot)
        let lost = isSkip ? missed.filter { $0 != source } : missed
        if !lost.isEmpty {
            ledger.object("\(cursor) after \(position): events of \(lost) were lost in silence")
        }
    }

    // MARK: Reading

    /// The rest of the line that begins so.
    static func field(_ name: String, in payload: ArraySlice<UInt8>) -> String? {
        var line = payload
        while let end = line.firstIndex(of: 0x0A) {
            if line[..<end].starts(with: name.utf8) {
                return String(decoding: line[..<end].dropFirst(name.utf8.count), as: UTF8.self)
            }
            line = line[(end + 1)...]
        }
        return nil
    }

    private static func start(after key: String, in bytes: ArraySlice<UInt8>) -> Int? {
        let key = Array(key.utf8)
        guard bytes.count >= key.count, let first = key.first else { return nil }
        return bytes.indices.dropLast(key.count - 1)
            .first { bytes[$0] == first && bytes[$0..<($0 + key.count)].elementsEqual(key) }
            .map { $0 + key.count }
    }

    static func text(after key: String, in bytes: ArraySlice<UInt8>) -> String? {
        self.start(after: key, in: bytes).map { start in
            String(decoding: bytes[start...].prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
        }
    }

    static func number(after key: String, in bytes: ArraySlice<UInt8>) -> Int? {
        guard let start = self.start(after: key, in: bytes) else { return nil }
        let digits = bytes[start...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return Int(String(decoding: digits, as: UTF8.self))
    }
}
