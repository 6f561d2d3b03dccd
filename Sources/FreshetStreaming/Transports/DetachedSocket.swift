// A socket of a stream whose TLS session was detached.

import CLinux
import Glibc
import Synchronization
import TLS

/// A connected socket, the keys of its session, and the ciphertext that the socket has not taken. Belongs to its shard's thread.
final class DetachedSocket {
    let descriptor: Int32
    /// The subscriber, for reports.
    let key: SlotKey
    private var session: DetachedSession
    private var unsent = UnsentRecords()

    init(descriptor: Int32, session: consuming DetachedSession, key: SlotKey) {
        self.descriptor = descriptor
        self.key = key
        self.session = session
    }

    /// Whether the socket has taken everything.
    var hasWritten: Bool { self.unsent.isEmpty }

    /// As ``SealedSocket/send(_:with:)``.
    func send(_ bytes: UnsafeRawBufferPointer, with workspace: TLSWorkspace) -> Int {
        var taken = 0
        while taken < bytes.count, self.unsent.isEmpty {
            let record = UnsafeRawBufferPointer(rebasing: bytes[taken...].prefix(TLSWorkspace.recordBytes))
            guard self.session.seal(record, with: workspace) else {
                workspace.dropSealed()
                return -1
            }
            guard self.sendSealed(with: workspace) else { return -1 }
            taken += record.count
        }
        return taken
    }

    private func sendSealed(with workspace: TLSWorkspace) -> Bool {
        workspace.takeSealed { self.unsent.send($0, on: self.descriptor) }
    }

    /// Sends what waits.
    ///
    /// - Returns: `false` where the connection is broken.
    func sendRest() -> Bool { self.unsent.sendRest(on: self.descriptor) }

    /// As ``SealedSocket/discardInput(upTo:input:with:)``, but that a KeyUpdate is answered before the next record, and that too
    /// many of them are more than `limit`. Every record of application data counts as something.
    func discardInput(
        upTo limit: Int,
        input: UnsafeMutableRawBufferPointer,
        with workspace: TLSWorkspace,
        now: Int64
    ) -> Int {
        var count = 0
        let seconds = Int32(truncatingIfNeeded: now / 1_000_000_000)
        while count <= limit {
            let received = clinux_recv(self.descriptor, input.baseAddress, input.count)
            if received == -Int(EAGAIN) { return count }
            guard received > 0 else { return -1 }
            let sealed = UnsafeRawBufferPointer(rebasing: input[..<min(received, input.count)])
            let outcome = self.session.receive(sealed, with: workspace, seconds: seconds)
            guard self.sendSealed(with: workspace) else { return -1 }
            switch outcome {
            case .open(let more): count += more
            case .flooded: return limit + 1
            case .closed, .failed: return -1
            }
            if received < input.count { return count }
        }
        return count
    }

    /// Says close_notify, behind what waits, as far as the socket takes it.
    func sayEnd(with workspace: TLSWorkspace) {
        self.session.close(with: workspace)
        _ = self.sendSealed(with: workspace)
    }
}

/// Streams on detached sessions, over all shards. Any thread.
package final class DetachedCounters: Sendable {
    package struct Figures: Sendable {
        package var sessions = 0
        /// KeyUpdates of clients, and of the gateway.
        package var heardKeyUpdates: UInt64 = 0
        package var ownKeyUpdates: UInt64 = 0
    }

    private let state = Mutex(Figures())

    package var figures: Figures { self.state.withLock { $0 } }

    func opened() { self.state.withLock { $0.sessions += 1 } }
    func closed() { self.state.withLock { $0.sessions -= 1 } }

    func add(_ updates: TLSWorkspace.KeyUpdates) {
        self.state.withLock { figures in
            figures.heardKeyUpdates += UInt64(max(0, updates.heard))
            figures.ownKeyUpdates += UInt64(max(0, updates.own))
        }
    }
}
