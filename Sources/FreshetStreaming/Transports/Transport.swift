// What carries the bytes of subscribers: everything about a connection that delivery does not decide.

package import FreshetCore

/// The connections of one shard, and its time. Made, used and let go on the shard's thread.
///
/// ``Delivery`` decides what a subscriber gets next and when it ends; a transport puts bytes on connections and says how
/// many were taken. It may keep what it took (a sealed record that was sent in part, frames for a write of several
/// streams), but never more than one send of each connection: while it holds some, it takes nothing more of that one.
///
/// A transport is a concrete class beside ``Delivery``, so that the compiler makes one ``Delivery`` for it and puts
/// ``send(_:on:)`` into the loop over the subscribers.
package protocol Transport: AnyObject, SendableMetatype {
    /// A connection as it is handed over, owned by the handover until ``adopt(_:as:)``.
    associatedtype Arrival: ArrivingConnection
    /// Names a connection in the slot of its subscriber, which every event reads: four bytes keep the slot at half of a
    /// cache line.
    associatedtype Connection: BitwiseCopyable
    /// How other threads end ``wait(milliseconds:)``.
    associatedtype Waker: TransportWaker
    associatedtype Generator: RandomNumberGenerator

    /// Nanoseconds of the monotonic clock.
    var now: Int64 { get }
    var wall: WallTime { get }
    /// What spreads reconnections and closes.
    var random: Generator { get set }

    /// Waits for a wake-up or something to happen on a connection, up to a time; 0 does not wait.
    ///
    /// - Returns: How many reports there are, until the next call.
    func wait(milliseconds: Int32) -> Int
    /// What happened; `nil` for a wake-up.
    func report(_ number: Int) -> TransportReport?

    /// Takes a connection over. From now on each change to writable, readable or broken is reported once, under `key`,
    /// beginning with the first.
    ///
    /// - Returns: `nil` where it cannot be watched; it is then closed.
    func adopt(_ arrival: Arrival, as key: SlotKey) -> Connection?
    /// Sends without waiting.
    ///
    /// - Returns: How many bytes were taken: none or a part where the connection is full, which is reported when it is not;
    ///   negative where it is broken.
    func send(_ bytes: UnsafeRawBufferPointer, on connection: Connection) -> Int
    /// Writes what was taken and is not written, as far as it goes: after the sends of a turn that belong together.
    func flush()
    /// Whether all that was taken has been written. Where it has not, the connection is reported when it has.
    func hasWritten(_ connection: Connection) -> Bool
    /// Reads and drops up to so many bytes of what the client sent: nothing is expected on a held stream.
    ///
    /// - Returns: How many there were, 0 where there is nothing; negative where the client has ended or broken the
    ///   connection.
    func discardInput(of connection: Connection, upTo limit: Int) -> Int
    /// Closes a connection, in the way that the end of its stream asks for: what was written reaches a client that was sent `bye`
    /// of the end, and is thrown away for one that does not read.
    func close(_ connection: Connection, after end: StreamEnd)

    /// Whether ``becameLive(_:at:)`` is to be called when the subscriber has caught up.
    func awaitsLive(_ connection: Connection) -> Bool
    /// The subscriber has everything up to a cursor, and gets what comes after it as it comes.
    func becameLive(_ connection: Connection, at cursor: Cursor)
    /// The other subscribers on what carries this one, where they end with it at a drain.
    func siblings(of connection: Connection) -> [SlotKey]
}

extension Transport {
    package func awaitsLive(_ connection: Connection) -> Bool { false }
    package func becameLive(_ connection: Connection, at cursor: Cursor) {}
    package func siblings(of connection: Connection) -> [SlotKey] { [] }
}

/// A connection between two owners.
package protocol ArrivingConnection: Sendable {
    /// Closes it, since it is not taken over.
    func abandon()
}

/// Ends a transport's wait. Any thread.
package protocol TransportWaker: Sendable {
    func wake()
    /// Nanoseconds of the clock that the transport reads.
    var now: Int64 { get }
}

/// A slot and its use, so that a late report finds nothing.
package struct SlotKey: Hashable, Sendable {
    var index: Int32
    /// How often the slot was used before.
    var generation: UInt32
}

extension SlotKey {
    /// Both in one number, which is below 2^62.
    var rawValue: UInt64 { UInt64(self.generation) << 32 | UInt64(UInt32(bitPattern: self.index)) }

    init(rawValue: UInt64) {
        self.index = Int32(truncatingIfNeeded: rawValue & 0xFFFF_FFFF)
        self.generation = UInt32(truncatingIfNeeded: rawValue >> 32)
    }
}

/// What happened on a connection.
package struct TransportReport: Sendable {
    package struct Events: OptionSet, Sendable {
        package let rawValue: UInt8

        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// It takes bytes again, or has written what it held.
        package static let writable = Events(rawValue: 1)
        /// The client has sent something.
        package static let readable = Events(rawValue: 2)
        /// The client is gone.
        package static let broken = Events(rawValue: 4)
        /// The client wants the stream no more, and stays.
        package static let left = Events(rawValue: 8)
    }

    var key: SlotKey
    var events: Events

    package init(_ events: Events, of key: SlotKey) {
        self.key = key
        self.events = events
    }
}
