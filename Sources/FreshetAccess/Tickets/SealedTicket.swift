// The text of a ticket: whom it stands for, sealed.

import Base64
import Crypto
import Foundation
import FreshetCore
import JSON

/// What a ticket carries, so that a process that never saw it can resume its stream (CONTRACT §8).
///
/// The text is `base64url(id ‖ ciphertext ‖ tag)`: a random id of 32 bytes; the content as JSON under AES-256-GCM, with a key
/// derived from the ticket key and the id (HKDF-SHA-256) and a nonce of zeros, since that key seals nothing else; the tag of
/// 16 bytes. Nothing in it can be read or changed without the ticket key.
struct SealedTicket {
    static let idBytes = 32
    private static let tagBytes = 16

    let id: [UInt8]
    /// With the grants that a stream needs: a ticket reads, and does nothing else.
    let principal: Principal
    /// As the client wrote it.
    let sources: String
    /// When the ticket expires; `nil` if the ticket does not say.
    let expiresAt: WallTime?

    /// A new ticket.
    init(principal: Principal, sources: String, expiresAt: WallTime) {
        var generator = SystemRandomNumberGenerator()
        self.id = (0..<Self.idBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        self.principal = principal
        self.sources = sources
        self.expiresAt = expiresAt
    }

    /// The ticket that the text is; `nil` for what this key did not seal.
    init?(_ text: String, key: TicketKey) {
        guard text.utf8.count <= TicketLimits.maxBytes, let bytes = Base64URL.decode(text.utf8),
            bytes.count > Self.idBytes + Self.tagBytes
        else { return nil }
        let id = Array(bytes[..<Self.idBytes])
        let sealed = bytes[Self.idBytes...]
        guard let nonce = Self.nonce,
            let box = try? AES.GCM.SealedBox(
                nonce: nonce,
                ciphertext: sealed.dropLast(Self.tagBytes),
                tag: sealed.suffix(Self.tagBytes)
            ),
            let content = try? AES.GCM.open(box, using: key.sealing(id)),
            let document = try? Document(parsing: [UInt8](content)),
            let principal = Self.principal(document.root), let sources = document.root["sources"]?.string
        else { return nil }
        self.id = id
        self.principal = principal
        self.sources = sources
        self.expiresAt = document.root["opens_until"]?.int.map { WallTime(milliseconds: Int64($0)) }
    }

    /// `nil` where it would be longer than ``TicketLimits/maxBytes``.
    func text(key: TicketKey) -> String? {
        guard let nonce = Self.nonce,
            let box = try? AES.GCM.seal(self.content, using: key.sealing(self.id), nonce: nonce)
        else { return nil }
        let text = Base64URL.encode(self.id + box.ciphertext + box.tag)
        return text.count <= TicketLimits.maxBytes ? String(decoding: text, as: UTF8.self) : nil
    }

    private static var nonce: AES.GCM.Nonce? {
        try? AES.GCM.Nonce(data: [UInt8](repeating: 0, count: 12))
    }

    private var content: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("sources", self.sources)
            writer.member("kind", self.principal.kind.rawValue)
            writer.member("id", self.principal.id)
            writer.member("issuer", self.principal.issuer)
            if let expiresAt { writer.member("opens_until", expiresAt.milliseconds) }
            if let tokenID = self.principal.tokenID { writer.member("jti", tokenID) }
            if !self.principal.audience.isEmpty { writer.member("aud", self.principal.audience) }
            if let end = self.principal.validUntil { writer.member("until", end.milliseconds) }
            if let fingerprint = self.principal.fingerprint {
                writer.member("first", Int64(bitPattern: fingerprint.first))
                writer.member("second", Int64(bitPattern: fingerprint.second))
            }
            writer.name("read")
            writer.array { writer in
                for term in self.principal.grants.read.terms { writer.string(term.text) }
            }
            writer.name("parameters")
            writer.object { writer in
                for (name, value) in self.principal.grants.parameters { writer.member(name, value) }
            }
        }
        return writer.text
    }

    private static func principal(_ value: Value) -> Principal? {
        guard let kind = value["kind"]?.string.flatMap(Principal.Kind.init(rawValue:)), let id = value["id"]?.string,
            let issuer = value["issuer"]?.string, let grants = try? Grants(claim: value)
        else { return nil }
        var fingerprint: Fingerprint?
        if let first = value["first"]?.int, let second = value["second"]?.int {
            fingerprint = Fingerprint(
                first: UInt64(bitPattern: Int64(first)),
                second: UInt64(bitPattern: Int64(second))
            )
        }
        return Principal(
            kind: kind,
            id: id,
            issuer: issuer,
            tokenID: value["jti"]?.string,
            audience: value["aud"]?.string ?? "",
            grants: grants,
            validUntil: value["until"]?.int.map { WallTime(milliseconds: Int64($0)) },
            fingerprint: fingerprint
        )
    }
}

extension SourceSelector.Term {
    /// As a selector has it: with `*` behind a prefix.
    fileprivate var text: String {
        switch self {
        case .exact(let name): name
        case .prefix(let prefix): "\(prefix)*"
        }
    }
}
