// Memory that the sessions of one thread share: a session by itself keeps no buffer.

import CTLS

/// Where sessions put what they open and what they seal. Belongs to one thread, or one event loop.
package final class TLSWorkspace {
    var output = ctls_output()
    let plaintext: UnsafeMutableRawBufferPointer
    /// For detached sessions; made with the first.
    private var madeSealer: OpaquePointer?

    /// KeyUpdates of detached sessions, since they were last asked for.
    package struct KeyUpdates {
        /// Of clients.
        package var heard = 0
        package var own = 0
    }

    var keyUpdates = KeyUpdates()

    /// A record holds no more (RFC 8446 §5.1).
    package static let recordBytes = 16 << 10
    /// What is kept of the memory for ciphertext when it is empty.
    private static let keptBytes = 128 << 10

    package init() {
        self.plaintext = .allocate(byteCount: Self.recordBytes, alignment: 16)
    }

    deinit {
        ctls_output_free(&self.output)
        ctls_sealer_free(self.madeSealer)
        self.plaintext.deallocate()
    }

    /// `nil` for want of memory.
    var sealer: OpaquePointer? {
        if let madeSealer { return madeSealer }
        self.madeSealer = ctls_sealer_new()
        return self.madeSealer
    }

    /// Wipes the keys that detached sessions used last, after one has ended.
    package func forgetKeys() {
        if let madeSealer { ctls_sealer_forget(madeSealer) }
    }

    /// KeyUpdates since this was last called.
    package func takeKeyUpdates() -> KeyUpdates {
        defer { self.keyUpdates = KeyUpdates() }
        return self.keyUpdates
    }

    /// Forgets ciphertext that nobody is to get.
    package func dropSealed() {
        self.takeSealed { _ in }
    }

    /// Ciphertext that sessions have added since it was last taken.
    package var sealedCount: Int { self.output.count }

    /// Calls `body` with the ciphertext, and forgets it.
    package func takeSealed<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        defer {
            self.output.count = 0
            if self.output.capacity > Self.keptBytes { ctls_output_free(&self.output) }
        }
        return body(UnsafeRawBufferPointer(start: self.output.bytes, count: self.output.count))
    }
}
