// Why a node that is connected does not poll yet.

/// What a connected node waits for.
package enum ClusterHold: Hashable, Sendable {
    /// The stream has records of a version that this node does not understand.
    case foreignFormat
    /// What the node has to write is not acknowledged; why.
    case notAcknowledged(String)
    /// The broker is being asked what the stream is.
    case facts
    /// A numbering is being begun.
    case epoch
    /// The stream is being read: through this sequence, to this one.
    case reading(UInt64, of: UInt64)
    /// These nodes have not said that the stream is what they know.
    case nodes([String])
    /// The first heartbeat is not read yet.
    case lease
}

extension ClusterMachine {
    /// What a connected node waits for before it polls; `nil` where nothing keeps it.
    package var hold: ClusterHold? {
        if self.link == .foreign { return .foreignFormat }
        guard !self.isEntitled || self.link != .reading else { return nil }
        if let refusal { return .notAcknowledged(refusal) }
        switch self.link {
        case .down, .syncing, .comparing: return .facts
        case .founding: return .epoch
        case .foreign: return .foreignFormat
        case .reading: break
        }
        if !self.isCaughtUp { return .reading(self.readThrough, of: self.syncedLast) }
        return self.mayWrite ? .lease : .nodes(self.awaited.sorted())
    }
}
