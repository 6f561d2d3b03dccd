// Whether a call that says "something changed" is the upstream's: signatures, stamps, ids.

import Base64
import Crypto
package import FreshetCore
import Synchronization

/// Why a call was refused. What the caller is told does not say which.
package enum HookRefusal: String, Error, CaseIterable, Sendable {
    /// No such source, or it takes no calls.
    case unknown
    /// A field that belongs to the signature is missing or malformed.
    case malformed
    /// The signature is not one of this body and secret.
    case forged
    /// The stamp is more than five minutes from now.
    case late
    /// The id was used before.
    case repeated
}

/// Verifies the calls of one source's upstream: a value, to be asked with the time.
package struct HookVerifier: Sendable {
    /// How far a stamp may be from now, either way, in seconds (Standard Webhooks 1.0).
    package static let tolerance: Int64 = 300
    /// The longest id.
    static let maxIDBytes = 256
    /// The most signatures of one call that are looked at: a sender that changes its secret signs with both.
    private static let maxSignatures = 8

    package let hook: SourceConfiguration.Hook

    package init(_ hook: SourceConfiguration.Hook) {
        self.hook = hook
    }

    /// What makes a call one of its own.
    package struct CallID: Hashable, Sendable {
        package var id: String
        /// Seconds since 1970.
        package var stamp: Int64
    }

    /// Whether the call is the upstream's. `field` gives the value of a request field by its lower-case name.
    ///
    /// - Returns: What may not come twice; nil where the style has nothing of the kind.
    /// - Throws: why it is not.
    package func verify(
        body: some Collection<UInt8>,
        now: WallTime,
        field: (String) -> String?
    ) throws(HookRefusal) -> CallID? {
        switch self.hook.style {
        case .standard:
            return try self.verifyStandard(body, now: now, field: field)
        case .github:
            try self.verifyHexadecimal(body, field("x-hub-signature-256"), prefix: "sha256=")
        case .plain:
            try self.verifyHexadecimal(body, field("x-signature"), prefix: "")
        }
        return nil
    }

    private func verifyStandard(
        _ body: some Collection<UInt8>,
        now: WallTime,
        field: (String) -> String?
    ) throws(HookRefusal) -> CallID {
        guard let id = field("webhook-id"), (1...Self.maxIDBytes).contains(id.utf8.count),
            let stampText = field("webhook-timestamp"), stampText.utf8.count <= 12, let stamp = Int64(stampText),
            let signatures = field("webhook-signature")
        else { throw .malformed }
        // What is late by its own word need not be hashed.
        guard stamp >= now.seconds - Self.tolerance, stamp <= now.seconds + Self.tolerance else { throw .late }
        let code = Self.code(Array("\(id).\(stampText).".utf8) + body, self.hook.secret)
        var isRight = false
        for signature in signatures.split(separator: " ").prefix(Self.maxSignatures) where signature.hasPrefix("v1,") {
            guard let bytes = Self.base64(signature.dropFirst(3)) else { continue }
            isRight = Self.isEqual(bytes, code) || isRight
        }
        guard isRight else { throw .forged }
        return CallID(id: id, stamp: stamp)
    }

    private func verifyHexadecimal(
        _ body: some Collection<UInt8>,
        _ field: String?,
        prefix: String
    ) throws(HookRefusal) {
        guard let field, field.hasPrefix(prefix), let bytes = Self.hexadecimal(field.dropFirst(prefix.count)) else {
            throw .malformed
        }
        guard Self.isEqual(bytes, Self.code(Array(body), self.hook.secret)) else { throw .forged }
    }

    private static func code(_ text: [UInt8], _ secret: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: text, using: SymmetricKey(data: secret)))
    }

    /// Takes as long wherever the two differ.
    private static func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    /// 64 digits; nil for anything else.
    private static func hexadecimal(_ text: Substring) -> [UInt8]? {
        guard text.utf8.count == 64 else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text.utf8 {
            let digit: UInt8
            switch character {
            case 0x30...0x39: digit = character - 0x30
            case 0x41...0x46: digit = character - 0x41 + 10
            case 0x61...0x66: digit = character - 0x61 + 10
            case _: return nil
            }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return bytes
    }

    /// The 32 bytes of a code in base64 with padding; nil for anything else.
    private static func base64(_ text: Substring) -> [UInt8]? {
        guard text.utf8.count == 44, text.hasSuffix("=") else { return nil }
        return Base64URL.decode(
            text.dropLast().utf8.map { character in
                switch character {
                case UInt8(ascii: "+"): UInt8(ascii: "-")
                case UInt8(ascii: "/"): UInt8(ascii: "_")
                case _: character
                }
            }
        )
    }
}

/// The ids of calls that were taken: within the window of stamps each counts once. Bounded: where more are used than are
/// remembered, what is as old as a forgotten one is refused.
package struct UsedCalls: Sendable {
    /// The most that are remembered.
    package static let maxCalls = 4_096

    /// 128 bits of a hash, so that an id costs the same whatever its length.
    private struct Digest: Hashable {
        var high: UInt64
        var low: UInt64

        init(_ id: String) {
            var words: [UInt64] = [0, 0]
            for (index, byte) in SHA256.hash(data: Array(id.utf8)).prefix(16).enumerated() {
                words[index / 8] = words[index / 8] << 8 | UInt64(byte)
            }
            self.high = words[0]
            self.low = words[1]
        }
    }

    private var used: Set<Digest> = []
    /// In the order of their use.
    private var order: [(digest: Digest, stamp: Int64)] = []
    /// The first in `order` that is still remembered.
    private var first = 0
    /// Stamps up to this are refused.
    private var floor = Int64.min

    package init() {}

    /// Remembers a call.
    ///
    /// - Returns: false where it was taken before, or may have been.
    package mutating func take(_ call: HookVerifier.CallID, now: WallTime) -> Bool {
        guard call.stamp > self.floor else { return false }
        let digest = Digest(call.id)
        guard self.used.insert(digest).inserted else { return false }
        self.order.append((digest, call.stamp))
        while self.first < self.order.count, self.order[self.first].stamp < now.seconds - HookVerifier.tolerance {
            self.forgetFirst()
        }
        if self.used.count > Self.maxCalls {
            self.floor = max(self.floor, self.order[self.first].stamp)
            self.forgetFirst()
        }
        if self.first > Self.maxCalls {
            self.order.removeFirst(self.first)
            self.first = 0
        }
        return true
    }

    private mutating func forgetFirst() {
        self.used.remove(self.order[self.first].digest)
        self.first += 1
    }
}

/// The calls of all sources: who may call, and what became of it. Any thread.
package final class HookDesk: Sendable {
    private struct Entry: Sendable {
        var verifier: HookVerifier
        var used = UsedCalls()
    }

    private struct State: Sendable {
        var entries: [String: Entry] = [:]
        var counts = Counts()
    }

    /// What became of the calls so far.
    package struct Counts: Hashable, Sendable {
        package var accepted: UInt64 = 0
        package var refused: [HookRefusal: UInt64] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// What became of the calls so far.
    package var counts: Counts { self.state.withLock { $0.counts } }

    /// The sources that take calls are these from here on. The calls of those whose secret stays are remembered.
    package func update(_ sources: [SourceConfiguration]) {
        self.state.withLock { state in
            var entries: [String: Entry] = [:]
            for source in sources {
                guard let hook = source.hook else { continue }
                let known = state.entries[source.name]
                entries[source.name] = known?.verifier.hook == hook ? known : Entry(verifier: HookVerifier(hook))
            }
            state.entries = entries
        }
    }

    /// Whether a call is the upstream's, and not one that it made before; counts it, and remembers it where it is taken.
    ///
    /// - Throws: why it is refused.
    package func verify(
        _ source: String,
        body: some Collection<UInt8>,
        now: WallTime,
        field: (String) -> String?
    ) throws(HookRefusal) {
        do throws(HookRefusal) {
            // The signature takes as long as the body is large: not under the lock.
            guard let verifier = self.state.withLock({ $0.entries[source]?.verifier }) else {
                throw HookRefusal.unknown
            }
            let call = try verifier.verify(body: body, now: now, field: field)
            let isNew = self.state.withLock { state in
                guard let call else { return true }
                return state.entries[source]?.used.take(call, now: now) ?? false
            }
            guard isNew else { throw HookRefusal.repeated }
            self.state.withLock { $0.counts.accepted += 1 }
        } catch {
            self.state.withLock { $0.counts.refused[error, default: 0] += 1 }
            throw error
        }
    }
}
