import FreshetCore
import JSON

/// A log, an endpoint and a virtual clock around one state machine. What the machine orders is carried out when a test says
/// so; what the endpoint accepted is checked against the log as it comes.
struct WebhookWorld {
    struct Change {
        var sequence: UInt64
        var source: SourceID
        var items: [ScalarText]?
        var isReproducible = true
    }

    /// A message that the endpoint accepted.
    struct Accepted: Hashable {
        var sequence: UInt64
        var isGap: Bool
    }

    static let epoch = Epoch(rawValue: 4)
    let configuration: WebhookConfiguration
    let limits: WebhookLimits
    var machine: WebhookStateMachine
    var now = MonotonicTime(nanoseconds: 0)
    var changes: [Change] = []
    /// Changes up to here are gone from the log.
    var floor: UInt64 = 0
    /// Counts processes: what the log cannot give again differs from one to the next.
    var life = 0
    var inFlight: [WebhookTry] = []
    var accepted: [Accepted] = []
    private var covered: Set<UInt64> = []
    private var bodies: [String: [UInt8]] = [:]
    /// The row on the disk.
    var row: WebhookRow?
    var problems: [String] = []
    /// How often the log was read.
    private(set) var readings = 0

    init(_ configuration: WebhookConfiguration, limits: WebhookLimits = WebhookLimits()) {
        self.configuration = configuration
        self.limits = limits
        self.machine = WebhookStateMachine(
            configuration,
            limits: limits,
            head: Cursor(epoch: Self.epoch, sequence: 0),
            now: self.now,
            wall: WallTime(milliseconds: 0)
        )
        self.keepRow()
    }

    var wall: WallTime { WallTime(milliseconds: self.now.nanoseconds / 1_000_000) }
    var head: UInt64 { self.changes.last?.sequence ?? 0 }

    mutating func append(_ source: Int, _ items: [String]? = nil, isReproducible: Bool = true) {
        self.changes.append(
            Change(
                sequence: self.head + 1,
                source: SourceID(index: source),
                items: items?.map { ScalarText($0) },
                isReproducible: isReproducible
            )
        )
        self.machine.logChanged()
    }

    /// Lets the machine order what it wants, and reads the log for it.
    mutating func turn() {
        var isBusy = true
        while isBusy {
            isBusy = false
            for order in self.machine.next(now: self.now) {
                isBusy = true
                switch order {
                case .read(let after, let limit): self.read(after: after, limit: limit)
                case .send(let message): self.sent(message)
                }
            }
        }
    }

    /// As ``turn()``, and the disk keeps every row at once.
    mutating func settle() {
        repeat {
            self.turn()
            guard self.machine.isDirty else { return }
            self.keepRow()
        } while true
    }

    mutating func keepRow() {
        let revision = self.machine.revision
        // Through its text, as a disk has it.
        self.row = WebhookRow(text: self.machine.row(now: self.now, wall: self.wall).text)
        if self.row == nil { self.problems.append("the row cannot be read again") }
        self.machine.rowKept(revision)
    }

    private mutating func read(after: UInt64, limit: Int) {
        self.readings += 1
        let head = Cursor(epoch: Self.epoch, sequence: self.head)
        guard after >= self.floor else {
            return self.machine.gapFound(.evicted, after: after, head: head, sources: ["a", "b"])
        }
        let rest = self.changes.drop { $0.sequence <= after }
        let events = rest.prefix(limit).map { change in
            WebhookEvent(
                cursor: Cursor(epoch: Self.epoch, sequence: change.sequence),
                source: change.source,
                body: self.body(of: change),
                items: change.items,
                isReproducible: change.isReproducible
            )
        }
        let isComplete = events.count == rest.count
        let through = isComplete ? max(self.head, after) : events.last?.cursor.sequence ?? after
        self.machine.eventsRead(events, after: after, through: through, isComplete: isComplete)
    }

    private func body(of change: Change) -> [UInt8] {
        Array("{\"n\":\(change.sequence)\(change.isReproducible ? "" : ",\"life\":\(self.life)")}".utf8)
    }

    private mutating func sent(_ message: WebhookTry) {
        if let before = self.bodies.updateValue(message.body, forKey: message.id), before != message.body {
            self.problems.append("\(message.id) came with another body")
        }
        let lanes = self.lanes(of: message)
        for other in self.inFlight where !lanes.isDisjoint(with: self.lanes(of: other)) {
            self.problems.append("\(message.id) is under way beside \(other.id)")
        }
        if self.inFlight.count >= self.configuration.maxInFlight { self.problems.append("too many under way") }
        self.inFlight.append(message)
    }

    /// What a message must not share with another one under way.
    private func lanes(of message: WebhookTry) -> Set<String> {
        guard !message.id.hasPrefix("gap"), let change = self.change(message.sequence) else { return ["everything"] }
        guard let items = change.items else { return ["\(change.source.index)"] }
        return Set(items.map { "\(change.source.index)/\($0.utf8)" })
    }

    private func change(_ sequence: UInt64) -> Change? {
        self.changes.first { $0.sequence == sequence }
    }

    /// Ends the try at this place of ``inFlight``.
    mutating func end(_ index: Int = 0, _ status: Int, retryAfter: String? = nil, jitter: Double = 0) {
        let message = self.inFlight.remove(at: index)
        if (200..<300).contains(status) { self.accept(message) }
        let outcome = WebhookOutcome(status: status, retryAfter: retryAfter.map { Array($0.utf8) }, now: self.wall)
        self.machine.tryEnded(message, outcome, now: self.now, jitter: jitter, at: self.wall)
    }

    private mutating func accept(_ message: WebhookTry) {
        let isGap = message.id.hasPrefix("gap")
        let key = Accepted(sequence: message.sequence, isGap: isGap)
        guard !self.accepted.contains(key) else { return }
        self.accepted.append(key)
        guard !isGap else {
            for change in self.changes where change.sequence <= message.sequence {
                self.covered.insert(change.sequence)
            }
            return
        }
        self.covered.insert(message.sequence)
        let lanes = self.lanes(of: message)
        var late = 0
        for change in self.changes where change.sequence < message.sequence && !self.covered.contains(change.sequence) {
            late += 1
            let own = WebhookTry(sequence: change.sequence, cursor: message.cursor, id: "msg", body: [])
            if !self.lanes(of: own).isDisjoint(with: lanes) || self.isWhole(change, with: message.sequence) {
                self.problems.append("\(message.sequence) came before \(change.sequence)")
            }
        }
        guard late > 0, let first = self.changes.first(where: { !self.covered.contains($0.sequence) }) else { return }
        let ahead = self.accepted.count { !$0.isGap && $0.sequence > first.sequence }
        if ahead > self.limits.ahead { self.problems.append("\(ahead) are ahead of \(first.sequence)") }
    }

    /// Whether one of the two concerns the whole of the source of both.
    private func isWhole(_ change: Change, with sequence: UInt64) -> Bool {
        guard let other = self.change(sequence), other.source == change.source else { return false }
        return change.items == nil || other.items == nil
    }

    /// Ends the process at once: what is not on the disk is gone, and another one begins.
    mutating func crash() {
        self.life += 1
        self.inFlight = []
        self.machine = WebhookStateMachine(
            self.configuration,
            limits: self.limits,
            row: self.row,
            head: Cursor(epoch: Self.epoch, sequence: self.head),
            now: self.now,
            wall: self.wall
        )
    }

    /// Whether everything was accepted, or is covered by a gap.
    var isComplete: Bool { self.changes.allSatisfy { self.covered.contains($0.sequence) } }
}
