// The key behind every ticket, which outlives the process.

import Crypto
import Foundation
import Glibc

/// 256 bits from which each ticket's own key and suffix are derived. Whoever has them can make tickets. No description
/// shows them.
package struct TicketKey: Sendable, CustomStringConvertible {
    private static let byteCount = 32
    private let master: SymmetricKey

    /// A key that ends with the process: its tickets are not resumed by the next one.
    package static func random() -> TicketKey {
        TicketKey(master: SymmetricKey(size: .bits256))
    }

    private init(master: SymmetricKey) {
        self.master = master
    }

    package var description: String { "(redacted)" }

    /// The bytes of the key, to be shared with the other gateways of the cluster only.
    package var bytes: [UInt8] { self.master.withUnsafeBytes { Array($0) } }

    /// `nil` if the bytes are not a key.
    package init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        self.init(master: SymmetricKey(data: bytes))
    }

    /// The key in a file, which is created with mode 0600 if absent.
    ///
    /// - Throws: `TicketKeyProblem`, which names the file: it cannot be read or made, others may read it, or it is no key.
    package static func persisted(at path: String) throws(TicketKeyProblem) -> TicketKey {
        if SmallFile.stamp(path) == nil {
            do throws(TicketKeyProblem) {
                try self.make(path)
            } catch {
                var problem = error
                problem.isNotMade = true
                throw problem
            }
        }
        var status = stat()
        guard stat(path, &status) == 0 else { throw TicketKeyProblem(path, String(cString: strerror(errno))) }
        guard status.st_mode & 0o077 == 0 else {
            throw TicketKeyProblem(path, "others may read it and make tickets; remove it, or run chmod 600")
        }
        switch SmallFile.read(path, maxBytes: 4096) {
        case .failure(let problem):
            throw TicketKeyProblem(path, problem.text)
        case .success(let bytes):
            guard bytes.count == self.byteCount else {
                let text = "\(bytes.count) bytes instead of \(self.byteCount); remove it, and a new one is made"
                throw TicketKeyProblem(path, text)
            }
            return TicketKey(master: SymmetricKey(data: bytes))
        }
    }

    /// Writes a new key beside the path and links it there, so that it is never read half written, and of two processes both use
    /// the first.
    private static func make(_ path: String) throws(TicketKeyProblem) {
        try self.random().write(beside: path) { link($0, path) == 0 || errno == EEXIST }
    }

    /// Puts the key in the place of the one in the file, for the next process.
    ///
    /// - Throws: `TicketKeyProblem`, where the disk does not take it; the file is as it was then.
    package func replace(at path: String) throws(TicketKeyProblem) {
        try self.write(beside: path) { rename($0, path) == 0 }
    }

    /// Writes the key to a file next to `path`; `place` then moves or links that file to `path`.
    private func write(beside path: String, _ place: (String) -> Bool) throws(TicketKeyProblem) {
        let temporary = "\(path).\(getpid()).\(UInt64.random(in: .min ... .max))"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw TicketKeyProblem(path, String(cString: strerror(errno))) }
        defer { unlink(temporary) }
        let isWritten = self.master.withUnsafeBytes { bytes in
            Glibc.write(descriptor, bytes.baseAddress, bytes.count) == bytes.count && fsync(descriptor) == 0
        }
        close(descriptor)
        guard isWritten, place(temporary) else { throw TicketKeyProblem(path, String(cString: strerror(errno))) }
    }

    /// The key that seals one ticket and nothing else, so that a nonce is never used twice.
    func sealing(_ id: [UInt8]) -> SymmetricKey {
        self.derived(salt: id, purpose: "freshet ticket 1")
    }

    /// The first 128 bits of an HMAC-SHA-256 over the ticket's id.
    func suffix(_ id: [UInt8]) -> [UInt8] {
        let key = self.derived(salt: [], purpose: "freshet ticket suffix 1")
        return Array(HMAC<SHA256>.authenticationCode(for: id, using: key).prefix(16))
    }

    private func derived(salt: [UInt8], purpose: String) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: self.master,
            salt: salt,
            info: Array(purpose.utf8),
            outputByteCount: Self.byteCount
        )
    }
}

/// Why there is no key for tickets.
package struct TicketKeyProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package var path: String
    package var text: String
    /// There is no file, and none can be made.
    package var isNotMade = false

    init(_ path: String, _ text: String) {
        self.path = path
        self.text = text
    }

    package var description: String { "\(self.path): \(self.text)" }
}
