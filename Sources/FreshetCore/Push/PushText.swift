// Subscriptions as text, as the disk has them.

import JSON

/// One row of the store's table: a subscription, or how far the log has been pushed.
package struct PushRow: Hashable, Sendable {
    /// The bytes of the subscription's id as text; empty for the mark.
    package var key: [UInt8]
    /// JSON of this program alone.
    package var state: [UInt8]

    package init(key: [UInt8], state: [UInt8]) {
        self.key = key
        self.state = state
    }

    /// How far the log has been pushed to those who are not behind.
    package static func mark(_ cursor: Cursor) -> PushRow {
        PushRow(key: [], state: Array(cursor.description.utf8))
    }

    /// The key of a subscription's row.
    package static func key(of id: PushID) -> [UInt8] { Array(id.description.utf8) }
}

/// What a store held at the start.
package struct RestoredPush: Sendable {
    package var subscriptions: [PushSubscription] = []
    /// Those to which not everything was delivered that was read.
    package var behind: Set<PushID> = []
    /// Rows that could not be read.
    package var damaged = 0
    /// The keys of rows that are of no use any more.
    package var stale: [[UInt8]] = []

    /// Nothing.
    package init() {}

    /// `now`: what has expired by then is left out, and so is what belongs to an administrator of the earlier process,
    /// whose key ended with it.
    package init(_ rows: [PushRow], now: WallTime) {
        let mark = rows.first { $0.key.isEmpty }.flatMap { Cursor(String(decoding: $0.state, as: UTF8.self)) }
        for row in rows where !row.key.isEmpty {
            guard let (subscription, isBehind) = PushSubscription.read(row) else {
                self.damaged += 1
                self.stale.append(row.key)
                continue
            }
            guard subscription.expiresAt > now, subscription.owner.kind != .administrator else {
                self.stale.append(row.key)
                continue
            }
            var restored = subscription
            if isBehind {
                self.behind.insert(subscription.id)
            } else if let mark {
                restored.since = Self.later(mark, subscription.since)
            }
            self.subscriptions.append(restored)
        }
    }

    static func later(_ mark: Cursor, _ since: Cursor) -> Cursor {
        mark.epoch == since.epoch && mark.sequence < since.sequence ? since : mark
    }
}

extension PushSubscription {
    /// The row of this subscription. `behind`: where the first change is that was not delivered yet; `nil` where all were.
    package func row(behind: Cursor? = nil) -> PushRow {
        var json = JSONWriter()
        json.object { json in
            json.member("endpoint", self.endpoint)
            json.member("host", self.host)
            json.member("public_key", Self.hex(self.publicKey))
            json.member("secret", Self.hex(self.secret))
            json.member("sources", self.sources)
            if let pointer = self.pointer { json.member("pointer", pointer.description) }
            json.member("ttl", self.ttl)
            json.member("urgency", self.urgency.rawValue)
            json.member("created_at", self.createdAt.milliseconds)
            json.member("expires_at", self.expiresAt.milliseconds)
            json.member("server_key", self.serverKey)
            json.member("since", (behind ?? self.since).description)
            json.member("behind", behind != nil)
            json.name("owner")
            self.owner.writePush(to: &json)
        }
        return PushRow(key: PushRow.key(of: self.id), state: json.text)
    }

    /// `nil` for what ``row(behind:)`` does not write.
    package static func read(_ row: PushRow) -> (PushSubscription, isBehind: Bool)? {
        guard let id = PushID(String(decoding: row.key, as: UTF8.self)),
            let root = (try? Document(parsing: row.state))?.root, root.kind == .object,
            let endpoint = root["endpoint"]?.string, let host = root["host"]?.string,
            let publicKey = root["public_key"]?.string.flatMap(self.bytes),
            let secret = root["secret"]?.string.flatMap(self.bytes),
            let sources = root["sources"]?.string, SourceSelector(sources) != nil,
            let ttl = root["ttl"]?.int, let urgency = root["urgency"]?.string.flatMap(PushUrgency.init(rawValue:)),
            let createdAt = root["created_at"]?.int, let expiresAt = root["expires_at"]?.int,
            let serverKey = root["server_key"]?.string,
            let since = root["since"]?.string.flatMap({ Cursor($0) }), let isBehind = root["behind"]?.bool,
            let owner = root["owner"].flatMap(Principal.init(push:))
        else { return nil }
        let pointer = root["pointer"]?.string.flatMap { Pointer($0) }
        guard pointer != nil || root["pointer"] == nil else { return nil }
        let subscription = PushSubscription(
            id: id,
            endpoint: endpoint,
            host: host,
            publicKey: publicKey,
            secret: secret,
            sources: sources,
            pointer: pointer,
            owner: owner,
            ttl: min(max(ttl, 0), Defaults.Push.maxTTL),
            urgency: urgency,
            createdAt: WallTime(milliseconds: Int64(createdAt)),
            expiresAt: WallTime(milliseconds: Int64(expiresAt)),
            serverKey: serverKey,
            since: since
        )
        return (subscription, isBehind)
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 0xF, radix: 16) }.joined()
    }

    private static func bytes(_ text: String) -> [UInt8]? {
        let digits = text.utf8.map { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[index], let low = digits[index + 1] else { return nil }
            bytes.append(UInt8(truncatingIfNeeded: high << 4 | low))
        }
        return bytes
    }
}

extension Principal {
    /// As the owner of a subscription: what it may read, and by what its credential is found again. Its end is the
    /// subscription's, and other rights are of no use here.
    package var pushOwner: Principal {
        var owner = self
        owner.validUntil = nil
        owner.grants = Grants(read: self.grants.read, parameters: self.grants.parameters)
        return owner
    }

    fileprivate func writePush(to json: inout JSONWriter) {
        json.object { json in
            json.member("kind", self.kind.rawValue)
            json.member("id", self.id)
            json.member("issuer", self.issuer)
            json.member("audience", self.audience)
            if let tokenID = self.tokenID { json.member("token_id", tokenID) }
            if let key = self.fingerprint {
                json.name("key")
                json.array { json in
                    json.string(String(key.first, radix: 16))
                    json.string(String(key.second, radix: 16))
                }
            }
            json.name("read")
            json.array { json in
                for term in self.grants.read.terms { json.string(term.description) }
            }
            json.name("parameters")
            json.object { json in
                for (name, value) in self.grants.parameters.sorted(by: { $0.key < $1.key }) { json.member(name, value) }
            }
        }
    }

    fileprivate init?(push value: Value) {
        guard let kind = value["kind"]?.string.flatMap(Kind.init(rawValue:)), let id = value["id"]?.string,
            let issuer = value["issuer"]?.string, let audience = value["audience"]?.string,
            let terms = value["read"], let members = value["parameters"]
        else { return nil }
        var read: [SourceSelector.Term] = []
        for element in terms.elements {
            guard let selector = element.string.flatMap({ SourceSelector($0) }) else { return nil }
            read += selector.terms
        }
        var parameters: [String: String] = [:]
        for member in members.members { parameters[member.name] = member.value.string }
        var fingerprint: Fingerprint?
        if let key = value["key"] {
            guard let first = key[0]?.string.flatMap({ UInt64($0, radix: 16) }),
                let second = key[1]?.string.flatMap({ UInt64($0, radix: 16) })
            else { return nil }
            fingerprint = Fingerprint(first: first, second: second)
        }
        self.init(
            kind: kind,
            id: id,
            issuer: issuer,
            tokenID: value["token_id"]?.string,
            audience: audience,
            grants: Grants(read: SourcePattern(read), parameters: parameters),
            fingerprint: fingerprint
        )
    }
}
