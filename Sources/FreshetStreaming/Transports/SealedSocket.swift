// A socket whose bytes are sealed: TLS on a shard.

import CLinux
import Glibc
import TLS

/// A connected socket with its TLS session, and the ciphertext that the socket has not taken. Belongs to its shard's thread.
///
/// A record is sealed once, under its number: so what the socket did not take of it is kept, at most that of one record, and
/// nothing more is sealed until it is out.
final class SealedSocket {
    let descriptor: Int32
    let session: TLSSession
    /// The subscriber, for reports.
    let key: SlotKey
    private var unsent = UnsentRecords()

    init(descriptor: Int32, session: TLSSession, key: SlotKey) {
        self.descriptor = descriptor
        self.session = session
        self.key = key
    }

    /// Bytes that wait for the socket.
    var restCount: Int { self.unsent.count }

    /// Whether the socket has taken everything.
    var hasWritten: Bool { self.unsent.isEmpty }

    /// Seals and sends, a record at a time, until the socket is full.
    ///
    /// - Returns: How many of `bytes` were sealed; negative where the connection is broken.
    func send(_ bytes: UnsafeRawBufferPointer, with workspace: TLSWorkspace) -> Int {
        var taken = 0
        while taken < bytes.count, self.unsent.isEmpty {
            let record = UnsafeRawBufferPointer(rebasing: bytes[taken...].prefix(TLSWorkspace.recordBytes))
            guard self.session.seal(record, with: workspace), self.sendSealed(with: workspace) else { return -1 }
            taken += record.count
        }
        return taken
    }

    /// Sends what the session has sealed, behind what waits, and keeps what the socket does not take.
    ///
    /// - Returns: `false` where the connection is broken.
    func sendSealed(with workspace: TLSWorkspace) -> Bool {
        workspace.takeSealed { self.unsent.send($0, on: self.descriptor) }
    }

    /// Sends what waits.
    ///
    /// - Returns: `false` where the connection is broken.
    func sendRest() -> Bool { self.unsent.sendRest(on: self.descriptor) }

    /// Reads, opens and drops what the client sent, until there is nothing more, or more than `limit`. What the session has to
    /// answer is sent: to a KeyUpdate, which TLS bounds by itself.
    ///
    /// - Returns: As ``Transport/discardInput(of:upTo:)``; records that hold no data of an application count as nothing.
    func discardInput(upTo limit: Int, input: UnsafeMutableRawBufferPointer, with workspace: TLSWorkspace) -> Int {
        var count = 0
        while count <= limit {
            let received = clinux_recv(self.descriptor, input.baseAddress, input.count)
            if received == -Int(EAGAIN) { return count }
            guard received > 0 else { return -1 }
            let sealed = UnsafeRawBufferPointer(rebasing: input[..<min(received, input.count)])
            let state = self.session.receive(sealed, with: workspace) { count += $0.count }
            guard self.sendSealed(with: workspace), state == .open else { return -1 }
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
