// Ciphertext that a socket has not taken.

import CLinux
import Glibc

/// The rest of what was sealed for one socket. A record is sealed once, under its number: what the socket did not take of it is
/// kept, and nothing more is sealed until it is out.
struct UnsentRecords {
    private var bytes: [UInt8] = []
    private var start: Int32 = 0

    /// Whether the socket has taken everything.
    var isEmpty: Bool { self.bytes.isEmpty }

    /// Bytes that wait for the socket.
    var count: Int { self.bytes.count - Int(self.start) }

    /// Sends ciphertext, behind what waits, and keeps what the socket does not take.
    ///
    /// - Returns: `false` where the connection is broken.
    mutating func send(_ sealed: UnsafeRawBufferPointer, on descriptor: Int32) -> Bool {
        guard self.sendRest(on: descriptor) else { return false }
        guard !sealed.isEmpty else { return true }
        guard self.bytes.isEmpty else {
            // Answers of the session alone, which are small and few.
            self.bytes += sealed
            return true
        }
        let sent = clinux_send(descriptor, sealed.baseAddress, sealed.count)
        guard sent >= 0 || sent == -Int(EAGAIN) else { return false }
        let count = max(0, sent)
        if count < sealed.count { self.bytes = Array(sealed[count...]) }
        return true
    }

    /// Sends what waits.
    ///
    /// - Returns: `false` where the connection is broken.
    mutating func sendRest(on descriptor: Int32) -> Bool {
        guard !self.bytes.isEmpty else { return true }
        let sent = self.bytes.withUnsafeBytes { bytes in
            let left = UnsafeRawBufferPointer(rebasing: bytes[Int(self.start)...])
            return clinux_send(descriptor, left.baseAddress, left.count)
        }
        guard sent >= 0 else { return sent == -Int(EAGAIN) }
        self.start += Int32(truncatingIfNeeded: sent)
        if self.count <= 0 {
            self.bytes = []
            self.start = 0
        }
        return true
    }
}
