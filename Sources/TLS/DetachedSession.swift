// What is left of a session when hands are shaken: keys, and the numbers of records. It takes some 200 bytes in place of the
// 14 KB that OpenSSL holds for a session, and a third of the time for a record of what OpenSSL takes beside the cipher.

import CTLS
import Synchronization

/// What came of bytes that arrived on a detached session.
package enum DetachedInput: Hashable, Sendable {
    /// How many bytes of application data, their types and padding included, so that no record counts as nothing.
    case open(count: Int)
    /// The client has said close_notify.
    case closed
    /// More KeyUpdates than are taken.
    case flooded
    /// Bytes that cannot be a record of the session, or an alert that ends it.
    case failed
}

/// An open session of TLS 1.3 with AES-GCM, of which the server sends and the client is hardly heard (RFC 8446 §5): a held
/// stream. It has one owner, one thread at a time, and is wiped when that lets it go.
///
/// What it seals is added to the workspace that the call names, and is sent in its order, all of it. A record that the socket
/// takes only in part is never sealed again: its ciphertext is kept.
// The pointer is the only one to what it points at, and a handover passes both through a lock.
package struct DetachedSession: ~Copyable, @unchecked Sendable {
    let keys: OpaquePointer
    private var sending: RecordNumbers
    private var receiving: RecordNumbers
    /// After how many records the key is changed.
    private let renewal: UInt32
    /// When KeyUpdates of the client were first counted, in seconds, and how many there were since.
    private var minute: Int32 = 0
    private var messages: UInt8 = 0
    /// The client has asked for a KeyUpdate: it goes out before the next record.
    private var owesKeyUpdate = false
    /// Nothing may be sealed or opened any more.
    private var isEnded = false
    /// The beginning of a record that is not there whole.
    private var partial: [UInt8] = []

    /// KeyUpdates that a client may send in a minute.
    package static let maxKeyUpdates: UInt8 = 16
    private static let headerBytes = 5

    init(_ keys: OpaquePointer, sent: UInt64, received: UInt64, recordsPerKey: UInt64) {
        self.keys = keys
        self.sending = RecordNumbers(after: sent)
        self.receiving = RecordNumbers(after: received)
        self.renewal = UInt32(clamping: min(recordsPerKey, UInt64(RecordNumbers.limit / 2)))
    }

    deinit { ctls_detached_free(self.keys) }

    /// How many there are in the process.
    package static var count: Int { ctls_detached_count() }

    // MARK: Sealing

    /// Seals all of `bytes`, at most ``TLSWorkspace/recordBytes``, as one record.
    ///
    /// - Returns: `false` where the session cannot, and never will again; what was added to the workspace is then worthless.
    package mutating func seal(_ bytes: UnsafeRawBufferPointer, with workspace: TLSWorkspace) -> Bool {
        if self.owesKeyUpdate || self.sending.used >= self.renewal {
            guard self.updateKey(with: workspace) else { return false }
        }
        return self.add(.applicationData, bytes, to: workspace)
    }

    /// Says close_notify, once; nothing may be sealed after it.
    package mutating func close(with workspace: TLSWorkspace) {
        self.end(.closeNotify, with: workspace)
    }

    private mutating func add(
        _ type: RecordType,
        _ bytes: UnsafeRawBufferPointer,
        to workspace: TLSWorkspace
    ) -> Bool {
        guard !self.isEnded, let sealer = workspace.sealer, let number = self.sending.take() else {
            self.isEnded = true
            return false
        }
        let isSealed = ctls_detached_seal(
            self.keys,
            sealer,
            number.spend(),
            type.rawValue,
            bytes.baseAddress,
            bytes.count,
            &workspace.output
        )
        if isSealed != 1 { self.isEnded = true }
        return isSealed == 1
    }

    /// Says KeyUpdate, and seals with the next key from then on.
    private mutating func updateKey(with workspace: TLSWorkspace) -> Bool {
        let message = HandshakeType.keyUpdate(isRequest: false)
        guard message.withUnsafeBytes({ self.add(.handshake, $0, to: workspace) }),
            ctls_detached_renew(self.keys, CTLS_SENDING) == 1
        else {
            self.isEnded = true
            return false
        }
        self.sending = RecordNumbers()
        self.owesKeyUpdate = false
        workspace.keyUpdates.own += 1
        return true
    }

    private mutating func end(_ alert: Alert, with workspace: TLSWorkspace) {
        guard !self.isEnded else { return }
        _ = alert.bytes.withUnsafeBytes { self.add(.alert, $0, to: workspace) }
        self.isEnded = true
        self.partial = []
    }

    // MARK: Opening

    /// Opens what arrived, and drops it: nothing is expected on a held stream. All of `bytes` is used when it returns; the
    /// beginning of a record is kept. An alert that is to be sent is added to the workspace.
    ///
    /// `seconds`: of a monotonic clock.
    package mutating func receive(
        _ bytes: UnsafeRawBufferPointer,
        with workspace: TLSWorkspace,
        seconds: Int32
    ) -> DetachedInput {
        var (rest, count) = (bytes[...], 0)
        while !rest.isEmpty {
            guard !self.isEnded else { return .failed }
            let input: DetachedInput?
            if self.partial.isEmpty {
                input = self.receiveNext(of: &rest, with: workspace, seconds: seconds)
            } else {
                input = self.completePartial(from: &rest, with: workspace, seconds: seconds)
            }
            switch input {
            case .open(let more): count += more
            case nil: break
            case .closed, .flooded, .failed:
                self.partial = []
                return input ?? .failed
            }
        }
        return .open(count: count)
    }

    /// Takes a record that is there whole, or keeps the beginning of one.
    private mutating func receiveNext(
        of rest: inout Slice<UnsafeRawBufferPointer>,
        with workspace: TLSWorkspace,
        seconds: Int32
    ) -> DetachedInput? {
        let record = UnsafeRawBufferPointer(rebasing: rest)
        switch self.length(of: record) {
        case .some(let length) where length < 0: return self.fail(.unexpectedMessage, with: workspace)
        case .some(let length) where length <= record.count:
            rest = rest.dropFirst(length)
            return self.open(UnsafeRawBufferPointer(rebasing: record[..<length]), with: workspace, seconds: seconds)
        case _:
            self.partial = Array(record)
            rest = rest.dropFirst(record.count)
            return nil
        }
    }

    /// Adds to the record that has begun, and takes it once it is there whole.
    private mutating func completePartial(
        from rest: inout Slice<UnsafeRawBufferPointer>,
        with workspace: TLSWorkspace,
        seconds: Int32
    ) -> DetachedInput? {
        var length = self.partial.withUnsafeBytes { self.length(of: $0) }
        let missing = rest.prefix((length ?? Self.headerBytes) - self.partial.count)
        self.partial += missing
        rest = rest.dropFirst(missing.count)
        if length == nil { length = self.partial.withUnsafeBytes { self.length(of: $0) } }
        guard let length else { return nil }
        guard length >= 0 else { return self.fail(.unexpectedMessage, with: workspace) }
        guard self.partial.count == length else { return nil }
        let record = self.partial
        self.partial = []
        return record.withUnsafeBytes { self.open($0, with: workspace, seconds: seconds) }
    }

    /// How long a record is with its header, which is not there whole for `nil`; below zero where it cannot be one.
    private func length(of record: UnsafeRawBufferPointer) -> Int? {
        guard record.count >= Self.headerBytes else { return nil }
        let length = Int(ctls_record_length(record.bindMemory(to: UInt8.self).baseAddress))
        return length < 0 ? length : length + Self.headerBytes
    }

    private mutating func open(
        _ record: UnsafeRawBufferPointer,
        with workspace: TLSWorkspace,
        seconds: Int32
    ) -> DetachedInput {
        guard let sealer = workspace.sealer, let number = self.receiving.take() else {
            return self.fail(.internalError, with: workspace)
        }
        var opened = ctls_opened()
        let start = record.bindMemory(to: UInt8.self).baseAddress
        let result = ctls_detached_open(self.keys, sealer, number.spend(), start, record.count, &opened)
        guard result == CTLS_OK.rawValue else {
            return self.fail(opened.padded == 0 ? .badRecordMAC : .unexpectedMessage, with: workspace)
        }
        let content = UnsafeRawBufferPointer(start: opened.bytes, count: opened.count)
        switch RecordType(rawValue: opened.type) {
        case .applicationData: return .open(count: opened.padded)
        case .alert: return self.heard(content, padded: opened.padded, with: workspace)
        case .handshake: return self.heardHandshake(content, with: workspace, seconds: seconds)
        case nil: return self.fail(.unexpectedMessage, with: workspace)
        }
    }

    private mutating func heard(
        _ alert: UnsafeRawBufferPointer,
        padded: Int,
        with workspace: TLSWorkspace
    ) -> DetachedInput {
        guard alert.count == 2 else { return self.fail(.decodeError, with: workspace) }
        switch Alert(rawValue: alert[1]) {
        case .closeNotify: return .closed
        // By itself it says nothing: close_notify follows (RFC 8446 §6.1).
        case .userCanceled: return .open(count: padded)
        case _:
            self.isEnded = true
            return .failed
        }
    }

    /// Takes a KeyUpdate; no other message may come (RFC 8446 §4.6), and none may follow it in its record (§5.1).
    private mutating func heardHandshake(
        _ message: UnsafeRawBufferPointer,
        with workspace: TLSWorkspace,
        seconds: Int32
    ) -> DetachedInput {
        let isRequest = message.elementsEqual(HandshakeType.keyUpdate(isRequest: true))
        guard isRequest || message.elementsEqual(HandshakeType.keyUpdate(isRequest: false)) else {
            return self.fail(.unexpectedMessage, with: workspace)
        }
        if seconds &- self.minute >= 60 || seconds < self.minute {
            self.minute = seconds
            self.messages = 0
        }
        self.messages += 1
        guard self.messages <= Self.maxKeyUpdates else {
            self.end(.unexpectedMessage, with: workspace)
            return .flooded
        }
        guard ctls_detached_renew(self.keys, CTLS_RECEIVING) == 1 else {
            return self.fail(.internalError, with: workspace)
        }
        self.receiving = RecordNumbers()
        // However often it asks before the next record, one answer does (RFC 8446 §4.6.3).
        self.owesKeyUpdate = self.owesKeyUpdate || isRequest
        workspace.keyUpdates.heard += 1
        return .open(count: 0)
    }

    private mutating func fail(_ alert: Alert, with workspace: TLSWorkspace) -> DetachedInput {
        self.end(alert, with: workspace)
        return .failed
    }
}

/// What a record holds (RFC 8446 §5.1).
private enum RecordType: UInt8 {
    case alert = 21
    case handshake = 22
    case applicationData = 23
}

private enum HandshakeType {
    static func keyUpdate(isRequest: Bool) -> [UInt8] { isRequest ? Self.request : Self.answer }

    private static let request: [UInt8] = [24, 0, 0, 1, 1]
    private static let answer: [UInt8] = [24, 0, 0, 1, 0]
}

/// Alerts that are sent or told apart (RFC 8446 §6).
private enum Alert: UInt8 {
    case closeNotify = 0
    case unexpectedMessage = 10
    case badRecordMAC = 20
    case decodeError = 50
    case internalError = 80
    case userCanceled = 90

    /// With its level.
    var bytes: [UInt8] { [self == .closeNotify ? 1 : 2, self.rawValue] }
}

/// A detached session between two owners. Any thread.
package final class DetachedHandover: Sendable {
    private let session: Mutex<DetachedSession?>

    package init(_ session: consuming DetachedSession) {
        self.session = Mutex(session)
    }

    /// Takes the session, once.
    package func take() -> DetachedSession? {
        self.session.withLock { $0.take() }
    }
}

extension TLSSession {
    /// Detaches the session: afterwards this object can do nothing. Everything that it sealed has to be sent before anything
    /// that the detached one seals.
    ///
    /// - Returns: `nil` where the session goes on as it is: TLS 1.2, ChaCha20, a key that was changed already, the beginning of
    ///   a record that has come, a client's certificate without a subject, or a context that does not detach.
    package func detach() -> DetachedSession? {
        guard !self.hasFailed, !self.demandsCertificate || self.clientSubject != nil else { return nil }
        var (sent, received, recordsPerKey) = (UInt64(0), UInt64(0), UInt64(0))
        guard let keys = ctls_session_detach(self.pointer, &sent, &received, &recordsPerKey) else { return nil }
        self.endDetached()
        return DetachedSession(keys, sent: sent, received: received, recordsPerKey: recordsPerKey)
    }
}
