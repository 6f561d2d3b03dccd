// Rate limits come in a dozen spellings. Only one thing matters to a poller: whether the quota is used up, and until
// when.

/// The rate-limit fields of one answer.
///
/// Understood: `X-RateLimit-Remaining`/`-Reset`, `X-Rate-Limit-…` and `RateLimit-…`, the reset as seconds or as
/// unix time in seconds or milliseconds; `X-RateLimit-Reset-After`; and the `RateLimit` field of the IETF draft in its
/// older form (`limit=10, remaining=0, reset=5`) and its present one (`"default";r=0;t=5`).
struct UpstreamQuota: Hashable, Sendable {
    private var remaining: Int?
    private var resetsIn: Int?
    /// From the `RateLimit` field, whose policies each carry their own reset.
    private var exhaustedPolicyResetsIn: Int?

    /// The longest wait that is believed: a day.
    static let longest = 86_400

    /// Seconds until there is quota again, when there is none now.
    var exhaustedFor: Int? {
        let fromFields = remaining == 0 ? resetsIn : nil
        guard let fromFields, let exhaustedPolicyResetsIn else { return fromFields ?? exhaustedPolicyResetsIn }
        return max(fromFields, exhaustedPolicyResetsIn)
    }

    /// Takes in one field of the answer, if it is about rate limits.
    mutating func read(name: [UInt8], value: ArraySlice<UInt8>, wallNow: Int) {
        if FieldValue.matches(name, "ratelimit") {
            readPolicies(value, wallNow: wallNow)
            return
        }
        let value = FieldValue.elements(of: value).first ?? []
        if Self.is(name, "remaining") {
            guard let number = FieldValue.number(value, limit: CacheControl.longest) else { return }
            remaining = min(remaining ?? number, number)
        } else if Self.is(name, "reset") || Self.is(name, "reset-after") {
            guard let seconds = Self.wait(value, wallNow: wallNow) else { return }
            resetsIn = max(resetsIn ?? 0, seconds)
        }
    }

    private mutating func readPolicies(_ value: ArraySlice<UInt8>, wallNow: Int) {
        var left: Int?
        var reset: Int?
        for policy in FieldValue.elements(of: value) {
            for part in FieldValue.elements(of: policy, separator: UInt8(ascii: ";")) {
                let (name, argument) = FieldValue.assignment(part)
                guard let argument else { continue }
                if FieldValue.matches(name, "r") || FieldValue.matches(name, "remaining") {
                    left = FieldValue.number(argument, limit: CacheControl.longest)
                } else if FieldValue.matches(name, "t") || FieldValue.matches(name, "reset") {
                    reset = Self.wait(argument, wallNow: wallNow)
                }
            }
            if left == 0, let seconds = reset {
                exhaustedPolicyResetsIn = max(exhaustedPolicyResetsIn ?? 0, seconds)
                left = nil
                reset = nil
            }
        }
    }

    /// Seconds from now, for a number that is a delay or a moment. No quota takes 30 years to fill, so the size tells.
    private static func wait(_ value: ArraySlice<UInt8>, wallNow: Int) -> Int? {
        guard let number = FieldValue.numberRoundedUp(value, limit: 100_000_000_000_000) else { return nil }
        let seconds =
            if number >= 1_000_000_000_000 { number / 1000 - wallNow } else if number >= 1_000_000_000 {
                number - wallNow
            } else {
                number
            }
        return min(longest, max(0, seconds))
    }

    /// Whether `name` is one of the spellings of a rate-limit field that ends in `suffix`.
    private static func `is`(_ name: [UInt8], _ suffix: StaticString) -> Bool {
        let length = suffix.utf8CodeUnitCount
        guard name.count > length, FieldValue.matches(name.suffix(length), suffix) else { return false }
        let prefix = name.dropLast(length)
        return FieldValue.matches(prefix, "x-ratelimit-") || FieldValue.matches(prefix, "ratelimit-")
            || FieldValue.matches(prefix, "x-rate-limit-")
    }
}
