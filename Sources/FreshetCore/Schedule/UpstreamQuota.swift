// Rate limits come in a dozen spellings. Only one thing matters to a poller: whether the quota is used up, and until
// when.

import HTTPFields

/// The rate-limit fields of one answer.
///
/// Understood is every field whose name holds `ratelimit` or `rate-limit` and says what is left or when that ends:
/// `X-RateLimit-Remaining`/`-Reset`, `X-Rate-Limit-…`, `RateLimit-…`, `X-RateLimit-Reset-After`,
/// `X-RateLimit-Remaining-Requests`, `RateLimit-ResetTime`; and the `RateLimit` field of the IETF draft in its older form
/// (`limit=10, remaining=0, reset=5`) and its present one (`"default";r=0;t=5`, with `RateLimit-Policy`). Numbers and
/// times are read as ``RequestedWait`` reads them.
struct UpstreamQuota: Hashable, Sendable {
    /// The fields of one quota: those whose names differ in `remaining` and `reset` alone.
    private struct Family: Hashable {
        var name: [UInt8]
        /// In the order of the elements; nil for one that is no number.
        var remaining: [Double?] = []
        /// Seconds from now, in the order of the elements.
        var resets: [Int?] = []

        var isUsedUp: Bool { self.remaining.contains { $0.map { $0 < 1 } ?? false } }

        /// Of the quotas that are used up, the reset that is latest. Where there are not as many resets as quotas,
        /// which belongs to which is unknown, and the latest of all counts.
        var resetsIn: Int? {
            guard self.isUsedUp else { return nil }
            guard self.remaining.count == self.resets.count else { return self.resets.lazy.compactMap { $0 }.max() }
            return zip(self.remaining, self.resets).lazy.filter { ($0.0 ?? 1) < 1 }.compactMap { $0.1 }.max()
        }
    }

    private var families: [Family] = []
    /// Windows by the name of their policy (`RateLimit-Policy`), in seconds.
    private var windows: [[UInt8]: Int] = [:]
    /// Policies of the `RateLimit` field that are used up and do not say until when.
    private var usedUpPolicies: [[UInt8]] = []

    /// The longest wait that is believed: a day.
    static let longest = 86_400
    /// More quotas than this in one answer are not distinguished.
    private static let maxFamilies = 16

    /// There is no quota now, whether or not the answer says until when.
    var isUsedUp: Bool { !self.usedUpPolicies.isEmpty || self.families.contains(where: \.isUsedUp) }

    /// Seconds until there is quota again, when it is used up and the answer says; at most ``longest``.
    var exhaustedFor: Int? {
        var latest = self.usedUpPolicies.lazy.compactMap { self.windows[$0] }.max()
        for family in self.families where family.isUsedUp {
            guard let reset = family.resetsIn ?? self.resetOfOthers else { continue }
            latest = max(latest ?? 0, reset)
        }
        return latest.map { min(Self.longest, $0) }
    }

    /// The least time between requests, in seconds, at which what is left lasts until it is renewed: that of the tightest
    /// quota. `nil` where no quota says both, or one is used up.
    var leastInterval: Double? {
        var least: Double?
        for family in self.families {
            let resets = family.resets.isEmpty ? [self.resetOfOthers] : family.resets
            for (remaining, reset) in zip(family.remaining, resets) {
                guard let remaining, let reset, remaining >= 1, reset > 0 else { continue }
                least = max(least ?? 0, Double(reset) / remaining)
            }
        }
        return self.isUsedUp ? nil : least
    }

    /// For a quota without a reset of its own: that of fields which name no quota.
    private var resetOfOthers: Int? {
        self.families.lazy.filter(\.remaining.isEmpty).flatMap(\.resets).compactMap { $0 }.max()
    }

    /// Takes in one field of the answer, if it is about rate limits.
    mutating func read(name: [UInt8], value: ArraySlice<UInt8>, wallNow: Int) {
        guard let field = RateLimitField(name) else { return }
        switch field {
        case .policies: self.readPolicies(value, wallNow: wallNow)
        case .windows: self.readWindows(value)
        case .remaining(let quota):
            self.update(quota) { family in
                family.remaining += RequestedWait.elements(of: value).map { DecimalText.read($0)?.number }
            }
        case .reset(let quota):
            self.update(quota) { family in
                family.resets += RequestedWait.elements(of: value).map {
                    RequestedWait.seconds(ofElement: $0, wallNow: wallNow)
                }
            }
        }
    }

    private mutating func update(_ quota: [UInt8], _ change: (inout Family) -> Void) {
        if let index = self.families.firstIndex(where: { $0.name == quota }) { return change(&self.families[index]) }
        guard self.families.count < Self.maxFamilies else { return }
        var family = Family(name: quota)
        change(&family)
        self.families.append(family)
    }

    /// `"default";r=0;t=5, "daily";r=9;t=70`, or `limit=10, remaining=0, reset=5`.
    private mutating func readPolicies(_ value: ArraySlice<UInt8>, wallNow: Int) {
        var spread = Policy()
        for element in FieldValue.elements(of: value) {
            var policy = Policy()
            for part in FieldValue.elements(of: element, separator: UInt8(ascii: ";")) {
                policy.read(part, wallNow: wallNow)
            }
            // In the older form each element is one member of the only policy.
            if policy.name == nil { spread.read(policy) } else { self.take(policy) }
        }
        self.take(spread)
    }

    private mutating func take(_ policy: Policy) {
        guard let remaining = policy.remaining else { return }
        if remaining < 1, policy.resetsIn == nil, let name = policy.name {
            guard self.usedUpPolicies.count < Self.maxFamilies else { return }
            self.usedUpPolicies.append(name)
            return
        }
        self.update(Array("ratelimit;".utf8)) { family in
            family.remaining.append(remaining)
            family.resets.append(policy.resetsIn)
        }
    }

    /// `"default";q=100;w=60`.
    private mutating func readWindows(_ value: ArraySlice<UInt8>) {
        for element in FieldValue.elements(of: value) {
            let parts = FieldValue.elements(of: element, separator: UInt8(ascii: ";"))
            guard let first = parts.first, self.windows.count < Self.maxFamilies else { continue }
            for part in parts.dropFirst() {
                let (name, argument) = FieldValue.assignment(part)
                guard FieldValue.matches(name.trimmed, "w"), let argument,
                    let window = DecimalText.read(argument.trimmed)?.number, window >= 0
                else { continue }
                self.windows[Array(FieldValue.unquoted(first))] = Int(min(window, Double(Self.longest)))
            }
        }
    }

    /// What one element of the `RateLimit` field says.
    private struct Policy {
        /// Of an element in the present form.
        var name: [UInt8]?
        var remaining: Double?
        var resetsIn: Int?

        mutating func read(_ part: ArraySlice<UInt8>, wallNow: Int) {
            let (rawName, argument) = FieldValue.assignment(part)
            let name = rawName.trimmed
            guard let argument else {
                self.name = self.name ?? Array(FieldValue.unquoted(name))
                return
            }
            let value = FieldValue.unquoted(argument.trimmed)
            if FieldValue.matches(name, "r") || FieldValue.matches(name, "remaining") {
                self.remaining = DecimalText.read(value)?.number
            } else if FieldValue.matches(name, "t") || FieldValue.matches(name, "reset") {
                self.resetsIn = RequestedWait.seconds(ofElement: value, wallNow: wallNow)
            }
        }

        mutating func read(_ other: Policy) {
            self.remaining = other.remaining ?? self.remaining
            self.resetsIn = other.resetsIn ?? self.resetsIn
        }
    }
}

/// What a rate-limit field is about, by its name.
package enum RateLimitField: Hashable, Sendable {
    /// `RateLimit`.
    case policies
    /// `RateLimit-Policy`.
    case windows
    /// How much of this quota is left.
    case remaining([UInt8])
    /// Until when the present window of this quota lasts.
    case reset([UInt8])

    /// Nil for a name of another kind, and for one longer than ``maxNameBytes``.
    package init?(_ name: some Collection<UInt8>) {
        guard name.count <= Self.maxNameBytes else { return nil }
        let lowered = name.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0.lowercasedASCII }
        // `Reset-After` alone is Discord's word without its prefix; all others say what they are about.
        let isBare = lowered.elementsEqual("reset-after".utf8)
        let words = lowered.split(separator: UInt8(ascii: "-"))
        guard Self.isAboutRates(words) || isBare else { return nil }
        var quota: [UInt8] = []
        var isRemaining = false
        var isReset = false
        var others = 0
        for word in words {
            if word.ends(with: "remaining") {
                isRemaining = true
                quota += word.dropLast("remaining".utf8.count)
            } else if word.starts(with: "reset".utf8) {
                isReset = true
            } else if word.ends(with: "reset") {
                isReset = true
                quota += word.dropLast("reset".utf8.count)
            } else if !Self.fillers.contains(where: { word.elementsEqual($0) }) {
                quota += [UInt8(ascii: "-")] + word
                others += 1
            }
        }
        if isRemaining {
            self = .remaining(quota)
        } else if isReset {
            self = .reset(quota)
        } else if others == 0, words.count(where: { $0.ends(with: "limit") }) == 1 {
            self = .policies
        } else if others == 1, words.last?.elementsEqual("policy".utf8) == true {
            self = .windows
        } else {
            return nil
        }
    }

    package static let maxNameBytes = 64

    /// Words that do not tell quotas apart.
    private static let fillers = ["x", "ratelimit", "rate", "limit", "after", "in", "at", "time"].map { Array($0.utf8) }

    private static func isAboutRates(_ words: [ArraySlice<UInt8>]) -> Bool {
        if words.contains(where: { $0.elementsEqual("ratelimit".utf8) }) { return true }
        return zip(words, words.dropFirst()).contains { pair in
            pair.0.elementsEqual("rate".utf8) && pair.1.elementsEqual("limit".utf8)
        }
    }
}

extension ArraySlice<UInt8> {
    fileprivate func ends(with text: String) -> Bool { self.suffix(text.utf8.count).elementsEqual(text.utf8) }
}
