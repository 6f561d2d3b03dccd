// The subscribers of one shard in contiguous slots: what every event touches in one array, the rest in another.

import FreshetCore

/// What an event touches of a subscriber: 32 bytes, two to a cache line, where a connection takes four.
struct SubscriberSlot<Connection: BitwiseCopyable> {
    var machine: SubscriberStateMachine
    /// What the transport calls it. Closed where the slot is free.
    var connection: Connection
    /// The shard's tick in which something was last sent.
    var lastSend: UInt32
    /// -1 for a free slot.
    var group: Int32
    /// How often the slot was used; tells a late report of the transport from one about the present subscriber.
    var generation: UInt32

    var isUsed: Bool { self.group >= 0 }
}

/// What only joining, leaving and listing touch.
struct SubscriberRecord {
    var ticket: AdmissionTicket?
    /// Milliseconds since 1970.
    var since: Int64 = 0
    /// Where the slot stands in its group's live list; -1 when it is not there.
    var livePosition: Int32 = -1
    /// The tick of the last heartbeat: equal to the slot's `lastSend` while nothing but heartbeats is sent.
    var lastHeartbeat: UInt32 = 0
    /// The number of the last status notice that the subscriber knows from the opening of its stream.
    var openingStatus: UInt32 = 0
    /// Bytes that the client sent on the held stream.
    var received: Int32 = 0
}

/// The slots, with a list of the free ones. Belongs to its shard's thread.
struct SubscriberTable<Connection: BitwiseCopyable>: ~Copyable {
    typealias Slot = SubscriberSlot<Connection>

    /// Valid until the next ``allocate(_:record:)``.
    private(set) var slots: UnsafeMutablePointer<Slot>
    private(set) var records: [SubscriberRecord] = []
    /// Slots below this were used at least once.
    private(set) var end: Int32 = 0
    /// Slots in use.
    private(set) var count = 0
    private var capacity: Int
    private var free: [Int32] = []

    init() {
        self.capacity = 64
        self.slots = .allocate(capacity: self.capacity)
    }

    deinit {
        self.slots.deallocate()
    }

    /// The most slots of one shard; far above what descriptors allow.
    static var maxSlots: Int32 { .max / 2 }

    /// The slot and use that ``allocate(_:record:)`` gives next; `nil` when there are ``maxSlots``.
    var nextKey: SlotKey? {
        if let index = self.free.last { return self.key(of: index) }
        return self.end < Self.maxSlots ? SlotKey(index: self.end, generation: 0) : nil
    }

    /// Takes a slot; its generation is kept from the last use.
    ///
    /// - Returns: `nil` when there are ``maxSlots``.
    mutating func allocate(_ slot: Slot, record: SubscriberRecord) -> Int32? {
        var slot = slot
        if let index = self.free.popLast() {
            slot.generation = self.slot(index).pointee.generation
            self.slot(index).pointee = slot
            self.records[Int(index)] = record
            self.count += 1
            return index
        }
        guard self.end < Self.maxSlots else { return nil }
        if Int(self.end) == self.capacity { self.grow() }
        (self.slots + Int(self.end)).initialize(to: slot)
        self.records.append(record)
        self.end += 1
        self.count += 1
        return self.end - 1
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Slot>.allocate(capacity: self.capacity * 2)
        larger.moveInitialize(from: self.slots, count: self.capacity)
        self.slots.deallocate()
        self.slots = larger
        self.capacity *= 2
    }

    /// Gives a slot back.
    mutating func release(_ index: Int32) {
        self.slot(index).pointee.group = -1
        // Thirty bits: see ``SlotKey/rawValue``.
        self.slot(index).pointee.generation = (self.slot(index).pointee.generation &+ 1) & 0x3FFF_FFFF
        self.records[Int(index)] = SubscriberRecord()
        self.free.append(index)
        self.count -= 1
    }

    /// Whether the slot holds a subscriber.
    func isUsed(_ index: Int32) -> Bool {
        index >= 0 && index < self.end && self.slot(index).pointee.isUsed
    }

    /// Whether the slot still holds the subscriber that it held when it had this key.
    func holds(_ key: SlotKey) -> Bool {
        self.isUsed(key.index) && self.slot(key.index).pointee.generation == key.generation
    }

    /// Names the present use of a slot.
    func key(of index: Int32) -> SlotKey {
        SlotKey(index: index, generation: self.slot(index).pointee.generation)
    }

    /// The slot, to read and write in place. Valid until the next ``allocate(_:record:)``.
    func slot(_ index: Int32) -> UnsafeMutablePointer<Slot> {
        precondition(index >= 0 && index < self.end, "slot \(index) of \(self.end)")
        return self.slots + Int(index)
    }

    /// What is known of the subscriber beside its slot.
    func record(_ index: Int32) -> SubscriberRecord {
        self.records[Int(index)]
    }

    mutating func updateRecord<Result>(_ index: Int32, _ body: (inout SubscriberRecord) -> Result) -> Result {
        body(&self.records[Int(index)])
    }
}
