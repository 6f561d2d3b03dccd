// The key of the application server on the disk: the one file without which every subscription would have to be made again.

import Glibc
import WebPush

/// The key that signs every message (RFC 8292). No description shows it.
package struct PushKey: Sendable {
    let key: ApplicationServerKey

    /// As pages hand it to `pushManager.subscribe`.
    package var publicText: String { self.key.publicText }

    /// A key that ends with the process.
    package static func random() -> PushKey { PushKey(key: .random()) }

    /// The key in a PEM file, which is made with mode 0600 if absent. `isShared`: several gateways have the file, so that it is
    /// not made by each.
    ///
    /// - Throws: ``PushKeyProblem``: it cannot be read or made, others may read it, or it is no key.
    package static func file(at path: String, isShared: Bool = false) throws(PushKeyProblem) -> PushKey {
        if access(path, F_OK) != 0, errno == ENOENT {
            guard !isShared else {
                let fix = "openssl ecparam -name prime256v1 -genkey -noout -out \(path)"
                let problem = "it is absent, and all gateways of a cluster need the same; make one with \(fix)"
                throw PushKeyProblem(path, problem)
            }
            try self.make(path)
        }
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw PushKeyProblem(path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw PushKeyProblem(path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw PushKeyProblem(path, "not a regular file") }
        guard status.st_mode & 0o077 == 0 else {
            throw PushKeyProblem(path, "others may read it and send in your name; run chmod 600")
        }
        var bytes = [UInt8](repeating: 0, count: ApplicationServerKey.maxFileBytes + 1)
        var count = 0
        while count < bytes.count {
            let part = bytes.withUnsafeMutableBytes { buffer in
                read(descriptor, buffer.baseAddress?.advanced(by: count), buffer.count - count)
            }
            if part < 0, errno == EINTR { continue }
            guard part >= 0 else { throw PushKeyProblem(path) }
            if part == 0 { break }
            count += part
        }
        do throws(WebPushError) {
            return PushKey(key: try ApplicationServerKey(pem: Array(bytes[..<count])))
        } catch {
            throw PushKeyProblem(path, "\(error); make one with openssl ecparam -name prime256v1 -genkey")
        }
    }

    /// Writes a new key to a file of its own and links it to the path, so that it is never read half written, and of two
    /// processes both use the first.
    private static func make(_ path: String) throws(PushKeyProblem) {
        let temporary = "\(path).\(getpid()).\(UInt64.random(in: .min ... .max))"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw PushKeyProblem(path) }
        defer { unlink(temporary) }
        let text = Array(ApplicationServerKey.random().pem.utf8)
        let isWritten = write(descriptor, text, text.count) == text.count && fsync(descriptor) == 0
        close(descriptor)
        guard isWritten, link(temporary, path) == 0 || errno == EEXIST else { throw PushKeyProblem(path) }
    }
}

/// Why there is no key.
package struct PushKeyProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package var path: String
    package var text: String

    /// What the system said last.
    fileprivate init(_ path: String) {
        self.init(path, String(cString: strerror(errno)))
    }

    fileprivate init(_ path: String, _ text: String) {
        self.path = path
        self.text = text
    }

    package var description: String { "\(self.path): \(self.text)" }
}
