/// One thing that a scripted upstream does on a connection.
package enum UpstreamStep: Sendable {
    /// Reads one request; one that does not fit is noted in `ScriptedUpstream.failures`. For scripts of a connection only.
    case expect(@Sendable (UpstreamRequest) -> Bool)
    /// Sends a whole response, and closes when it, or the request, says so.
    case respond(UpstreamResponse)
    /// Sends these bytes and nothing else.
    case send([UInt8])
    /// Sends these bytes a few at a time, with a pause after each piece.
    case drip([UInt8], pieceBytes: Int, every: Duration)
    /// Does nothing for this long.
    case delay(Duration)
    /// Does nothing until the gate opens: for an order of events that holds on any machine.
    case hold(Gate)
    /// Opens the gate: what the steps before it sent has arrived.
    case open(Gate)
    /// Does nothing until the peer goes away or the upstream is stopped.
    case stall
    /// Shuts the sending side and goes on reading: the peer sees an orderly end.
    case halfClose
    /// Closes in order. The rest of the steps is not run.
    case close
    /// Closes so that the peer sees a reset. The rest of the steps is not run.
    case reset

    /// Sends this text and nothing else.
    package static func send(_ text: String) -> UpstreamStep { .send([UInt8](text.utf8)) }
}

/// Holds scripts back until a test opens it. Once open it stays open.
package final class Gate: Sendable {
    let signal: Signal

    /// - Throws: when the process has no descriptor left.
    package init() throws { self.signal = try Signal() }

    package func open() { self.signal.raise() }
}
