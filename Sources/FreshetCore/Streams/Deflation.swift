// Compression of messages, once for all who get them.

import Synchronization
import WebSocket

enum Deflation {
    /// A shorter message is sent as it is: the header of its frame and a handful of bytes are no gain.
    static let minBytes = 64
    /// Compressors that are kept, of some 256 KiB each: as many as threads encode at a time.
    private static let maxKept = 4

    // One thread at a time has it: whoever took it out of the list.
    private struct Kept: @unchecked Sendable {
        let deflater: MessageDeflater
    }

    private static let kept = Mutex<[Kept]>([])

    /// `nil` where it does not pay.
    static func deflate(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count >= self.minBytes else { return nil }
        let deflater = self.kept.withLock { $0.popLast() }?.deflater ?? MessageDeflater()
        let deflated = text.withUnsafeBytes { deflater.deflate($0) }
        let returned = Kept(deflater: deflater)
        self.kept.withLock { if $0.count < self.maxKept { $0.append(returned) } }
        return deflated
    }
}
