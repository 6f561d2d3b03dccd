// What nodes ask of the one that sends the messages of Web Push, and what it answers.

package import FreshetCore
import JSON

/// A request about subscriptions, of one who was authenticated by the node that asks.
package enum PushCall: Hashable, Sendable {
    /// The row of a subscription that was looked at already, and the network of a caller without a credential.
    case subscribe(PushRow, network: ReadClient?)
    case unsubscribe(PushID, by: Caller)
    case list(by: Caller, id: PushID?, after: PushID?, limit: Int)

    /// Who asks, as far as it matters to whom a subscription is shown.
    package struct Caller: Hashable, Sendable {
        package var account: Principal.Account
        package var isAdministrator: Bool

        package init(_ caller: Principal) {
            self.account = caller.account
            self.isAdministrator = caller.grants.admin
        }

        init(account: Principal.Account, isAdministrator: Bool) {
            self.account = account
            self.isAdministrator = isAdministrator
        }

        /// The caller with this right alone.
        package var principal: Principal {
            Principal(
                kind: self.account.kind,
                id: self.account.id,
                issuer: self.account.issuer,
                grants: Grants(admin: self.isAdministrator)
            )
        }
    }

    /// The most subscriptions in one answer: a message of the broker holds them.
    package static let maxListed = 200
    /// The longest row: endpoint, sources and grants are bounded where they come from.
    package static let maxRow = 256 << 10
}

/// What the node answers that sends.
package enum PushReply: Hashable, Sendable {
    case subscribed(PushReport)
    case refused(PushRefusal)
    /// Whether there was such a subscription.
    case ended(Bool)
    case list([PushReport])
}

extension RecordWriter {
    mutating func put(_ call: PushCall) {
        switch call {
        case .subscribe(let row, let network):
            self.put(UInt8(0))
            self.put(row.key)
            self.put(row.state)
            self.put(UInt8(network == nil ? 0 : 1))
            if let network { for word in network.words { self.put(word) } }
        case .unsubscribe(let id, let caller):
            self.put(UInt8(1))
            self.put(id.description.utf8)
            self.put(caller)
        case .list(let caller, let id, let after, let limit):
            self.put(UInt8(2))
            self.put(caller)
            self.put(id.map { Array($0.description.utf8) })
            self.put(after.map { Array($0.description.utf8) })
            self.put(UInt32(clamping: limit))
        }
    }

    private mutating func put(_ caller: PushCall.Caller) {
        self.put(caller.account.kind.rawValue.utf8)
        self.put(caller.account.issuer.utf8)
        self.put(caller.account.id.utf8)
        self.put(UInt8(caller.isAdministrator ? 1 : 0))
    }

    mutating func put(_ reply: PushReply) {
        switch reply {
        case .subscribed(let report):
            self.put(UInt8(0))
            self.put(report)
        case .refused(let refusal):
            self.put(UInt8(1))
            self.put(refusal)
        case .ended(let isEnded):
            self.put(UInt8(2))
            self.put(UInt8(isEnded ? 1 : 0))
        case .list(let reports):
            self.put(UInt8(3))
            self.put(UInt32(clamping: reports.count))
            for report in reports { self.put(report) }
        }
    }

    private mutating func put(_ refusal: PushRefusal) {
        let (kind, text): (UInt8, String) =
            switch refusal {
            case .endpoint(let text): (0, text)
            case .keys(let text): (1, text)
            case .expired: (2, "")
            case .taken: (3, "")
            case .full: (4, "")
            case .caller: (5, "")
            case .host: (6, "")
            case .patterns: (7, "")
            case .unavailable(let text): (8, text)
            }
        self.put(kind)
        self.put(text.utf8)
    }

    private mutating func put(_ report: PushReport) {
        self.put(report.id.description.utf8)
        self.put(report.host.utf8)
        self.put(report.sources.utf8)
        self.put(report.pointer.map { Array($0.description.utf8) })
        self.put(report.subject.utf8)
        self.put(report.createdAt.milliseconds)
        self.put(report.expiresAt.milliseconds)
        self.put(report.state.rawValue.utf8)
        self.put(UInt8(report.hasPresentKey ? 1 : 0))
        self.put(UInt32(clamping: report.waiting))
        self.put(UInt8(report.lastDeliveredAt == nil ? 0 : 1))
        self.put(report.lastDeliveredAt?.milliseconds ?? 0)
        self.put(report.lastFailure.map { Array($0.utf8) })
    }
}

extension RecordReader {
    private static let maxText = 64 << 10

    mutating func pushCall() -> PushCall? {
        switch self.number(UInt8.self) {
        case 0:
            guard let key = self.text(atMost: 64), let state = self.text(atMost: PushCall.maxRow),
                let flag = self.flag()
            else { return nil }
            var network: ReadClient?
            if flag {
                guard let high = self.number(UInt64.self), let low = self.number(UInt64.self) else { return nil }
                network = ReadClient(high: high, low: low)
            }
            return .subscribe(PushRow(key: Array(key), state: Array(state)), network: network)
        case 1:
            guard let id = self.pushID(), let caller = self.pushCaller() else { return nil }
            return .unsubscribe(id, by: caller)
        case 2:
            guard let caller = self.pushCaller(), let id = self.optionalPushID(), let after = self.optionalPushID(),
                let limit = self.number(UInt32.self), limit <= PushCall.maxListed
            else { return nil }
            return .list(by: caller, id: id, after: after, limit: Int(limit))
        default: return nil
        }
    }

    mutating func pushReply() -> PushReply? {
        switch self.number(UInt8.self) {
        case 0: return self.pushReport().map { .subscribed($0) }
        case 1: return self.pushRefusal().map { .refused($0) }
        case 2: return self.flag().map { .ended($0) }
        case 3:
            guard let count = self.number(UInt32.self), count <= PushCall.maxListed else { return nil }
            var reports: [PushReport] = []
            for _ in 0..<count {
                guard let report = self.pushReport() else { return nil }
                reports.append(report)
            }
            return .list(reports)
        default: return nil
        }
    }

    private mutating func pushRefusal() -> PushRefusal? {
        guard let kind = self.number(UInt8.self), let text = self.string(atMost: Self.maxText) else { return nil }
        return switch kind {
        case 0: .endpoint(text)
        case 1: .keys(text)
        case 2: .expired
        case 3: .taken
        case 4: .full
        case 5: .caller
        case 6: .host
        case 7: .patterns
        case 8: .unavailable(text)
        default: nil
        }
    }

    private mutating func pushReport() -> PushReport? {
        guard let id = self.pushID(), let host = self.string(atMost: Self.maxText),
            let sources = self.string(atMost: Self.maxText), let pointer = self.optionalText(atMost: Self.maxText),
            let subject = self.string(atMost: Self.maxText), let createdAt = self.number(Int64.self),
            let expiresAt = self.number(Int64.self),
            let state = self.string(atMost: 32).flatMap({ PushState(rawValue: $0) }), let hasPresentKey = self.flag(),
            let waiting = self.number(UInt32.self), let wasDelivered = self.flag(),
            let deliveredAt = self.number(Int64.self), let failure = self.optionalText(atMost: Self.maxText)
        else { return nil }
        var parsed: Pointer?
        if let pointer {
            parsed = Pointer(utf8: pointer)
            guard parsed != nil else { return nil }
        }
        var report = PushReport(
            id: id,
            host: host,
            sources: sources,
            pointer: parsed,
            subject: subject,
            createdAt: WallTime(milliseconds: createdAt),
            expiresAt: WallTime(milliseconds: expiresAt)
        )
        report.state = state
        report.hasPresentKey = hasPresentKey
        report.waiting = Int(waiting)
        report.lastDeliveredAt = wasDelivered ? WallTime(milliseconds: deliveredAt) : nil
        report.lastFailure = failure.map { String(decoding: $0, as: UTF8.self) }
        return report
    }

    private mutating func pushCaller() -> PushCall.Caller? {
        guard let kind = self.string(atMost: 64).flatMap(Principal.Kind.init(rawValue:)),
            let issuer = self.string(atMost: Self.maxText), let id = self.string(atMost: Self.maxText),
            let isAdministrator = self.flag()
        else { return nil }
        let account = Principal.Account(kind: kind, issuer: issuer, id: id)
        return PushCall.Caller(account: account, isAdministrator: isAdministrator)
    }

    private mutating func pushID() -> PushID? { self.string(atMost: 32).flatMap { PushID($0) } }

    /// The outer `nil` is for bytes that are no such field.
    private mutating func optionalPushID() -> PushID?? {
        guard let text = self.optionalText(atMost: 32) else { return nil }
        guard let text else { return .some(nil) }
        return PushID(String(decoding: text, as: UTF8.self)).map { .some($0) }
    }

    private mutating func flag() -> Bool? {
        switch self.number(UInt8.self) {
        case 0: false
        case 1: true
        default: nil
        }
    }
}
