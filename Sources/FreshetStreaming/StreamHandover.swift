// A connection that changes hands: from the HTTP server, which read its request, to a shard, which writes its stream.

package import Compression
package import FreshetCore

/// Everything that a shard needs to hold one stream.
package struct StreamHandover<Connection: ArrivingConnection>: Sendable {
    /// Whoever is given the handover owns it from then on, and closes it.
    package var connection: Connection
    /// Ascending, each once.
    package var sources: [SourceID]
    /// What named them. Sources that come later and are named by it are added to the stream; `nil` for none.
    package var pattern: SourcePattern?
    package var format: StreamFormat
    /// What of the sources' values it is about.
    package var view: View
    package var position: StreamPosition
    /// The HTTP response head, sent first, together with the first events.
    package var head: [UInt8]
    package var framing: Framing
    /// What its events are compressed in; `nil` for none. The head says so.
    package var coding: ContentCoding?
    /// The place that ``StreamServer/admit(_:)`` gave.
    package var ticket: AdmissionTicket
    /// Counts what ``position`` holds for this stream alone; kept until that is sent.
    package var held: UnsentTicket?
    /// Whose stream it is; `nil` for anonymous callers, whose streams end for no credential.
    package var owner: StreamOwner?
    /// Keep the instances among the sources until the subscriber is counted.
    package var holds: [SourceHold]

    package init(
        connection: Connection,
        sources: [SourceID],
        pattern: SourcePattern? = nil,
        format: StreamFormat,
        view: View = .whole,
        position: StreamPosition,
        head: [UInt8],
        framing: Framing,
        coding: ContentCoding? = nil,
        ticket: AdmissionTicket,
        held: UnsentTicket? = nil,
        owner: StreamOwner? = nil,
        holds: [SourceHold] = []
    ) {
        self.connection = connection
        self.sources = sources
        self.pattern = pattern
        self.format = format
        self.view = view
        self.position = position
        self.head = head
        self.framing = framing
        self.coding = coding
        self.ticket = ticket
        self.held = held
        self.owner = owner
        self.holds = holds
    }
}
