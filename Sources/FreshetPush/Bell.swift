// How one task wakes another.

import Synchronization

/// Rings for one task. Rings that come before it has looked are one. Any thread may ring.
struct Bell: Sendable {
    let rings: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (self.rings, self.continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    func ring() { self.continuation.yield() }
}
