// What an upstream's validators are worth. They save transfers; they are never believed against the bytes (FAULTS
// F24–F27).

/// The validators of one source's last good answer, and what its answers taught about them.
struct ValidatorTrust: Sendable {
    /// How an answer's body compares with the last good one.
    enum Comparison {
        case sameBytes
        /// Equal where it counts: written otherwise, or different in ignored members alone.
        case sameValue
        case differs
    }

    /// Of the last good answer, byte-exact.
    private(set) var validators = Validators()
    /// Whether the date tells two values apart (RFC 9110 §8.8.2.2).
    private var sendsDate = true
    /// Polls answered 304 since a body was compared.
    private var unverified = 0
    /// How far the tag has changed over equal bytes; goes down again when it holds still.
    private var flaps = 0
    /// Whole answers in a row for the tag that the upstream still gives out.
    private var uselessAnswers = 0

    /// The tag changes over equal bytes.
    private(set) var isUnreliable = false
    /// One strong tag stood for two values.
    private(set) var wasReused = false
    /// The tag never yields a 304.
    private(set) var isUseless = false
    /// A request with the tag was refused, and one without was not.
    private var isTagRefused = false
    private var isDateRefused = false

    /// The upstream refuses conditional requests.
    var isConditionRefused: Bool { self.isTagRefused || self.isDateRefused }

    private var verifyEvery: Int?
    /// Whether 304 is said for longer than the source is likely to be silent.
    private(set) var doubt = SilenceDoubt()

    /// Of the last body that was compared: it was asked for in doubt, and it caught a validator.
    private var wasChecked = false
    private var isCaught = false

    /// Flaps until a tag counts as unreliable.
    private static let flapLimit = 5
    /// Whole answers until a tag counts as useless.
    private static let uselessLimit = 10
    /// How often a tag that was caught is checked, where the configuration does not say.
    private static let suspiciousVerifyEvery = 10

    /// `verifyEvery`: every so many polls one asks without validators; `nil` for none but those of a tag that was
    /// caught standing for two values.
    init(verifyEvery: Int?) {
        self.verifyEvery = verifyEvery
    }

    /// What the next poll sends; empty for one without a condition.
    func request() -> Validators {
        if let every = self.verifyEvery ?? (self.wasReused ? Self.suspiciousVerifyEvery : nil),
            self.unverified >= every - 1
        {
            return Validators()
        }
        if self.isDoubtful { return Validators() }
        // The date only where there is no tag: a server that says 304 when either matches would hide what changed
        // within the date's second (RFC 9110 §13.1.3).
        guard self.validators.etag == nil else {
            return self.isTagRefused ? Validators() : Validators(etag: self.validators.etag, url: self.validators.url)
        }
        guard self.sendsDate, !self.isDateRefused, let date = self.validators.lastModified else { return Validators() }
        return Validators(lastModified: date, url: self.validators.url)
    }

    /// The next poll asks without a condition because of doubt alone. Where the configuration says how often to verify,
    /// that is what is done; and what has just been compared is not doubted.
    private var isDoubtful: Bool {
        self.verifyEvery == nil && !self.wasReused && self.unverified > 0 && !self.validators.isEmpty
            && self.doubt.isDoubtful
    }

    /// A body was compared, after its validators were taken.
    ///
    /// - Returns: Whether a validator was caught: it is the one that polls were answered 304 for, and the value is another.
    mutating func bodyCompared(
        change: Bool,
        sent: Validators,
        at now: MonotonicTime,
        wall: WallTime,
        interval: Duration
    ) -> Bool {
        self.doubt.compared(change, isCheck: self.wasChecked, at: now, wall: wall, interval: interval)
        return self.isCaught
    }

    /// A request with this condition was refused, and the same request without it was not.
    mutating func conditionRefused(_ sent: Validators) {
        if sent.etag != nil { self.isTagRefused = true } else { self.isDateRefused = true }
    }

    /// Whether the answer that brought these speaks of another representation than ours (FAULTS F23).
    func isForeign(_ answer: Validators) -> Bool {
        guard let etag = answer.etag, let ours = self.validators.etag else { return false }
        return !etag.weaklyEquals(ours)
    }

    /// The source is configured anew, and its value stays. `isOtherRequest`: its polls send other fields.
    mutating func reconfigured(verifyEvery: Int?, isOtherRequest: Bool) {
        self.verifyEvery = verifyEvery
        // A date says nothing about a request with other fields; an entity tag is unique over all of them.
        guard isOtherRequest else { return }
        self.validators.lastModified = nil
        self.isTagRefused = false
        self.isDateRefused = false
    }

    /// Takes the validators of an earlier process.
    mutating func restored(_ validators: Validators) {
        self.validators = validators
        self.sendsDate = true
    }

    /// Forgets the validators, so that the next poll brings the value whatever it is.
    mutating func forget() {
        self.validators = Validators()
    }

    /// 304.
    mutating func notModified(at now: MonotonicTime, wall: WallTime, interval: Duration) {
        self.doubt.confirmed(at: now, wall: wall, interval: interval)
        self.unverified = min(self.unverified + 1, 1_000_000)
        self.uselessAnswers = 0
        self.isUseless = false
        self.settleDown()
    }

    /// A good answer with a body.
    ///
    /// - Parameters:
    ///   - new: its validators.
    ///   - sent: what the poll had sent.
    ///   - comparison: how the body compares with the last good one.
    ///   - dateTellsApart: `Last-Modified` is old enough, beside `Date`, to be a validator.
    ///   - isAdopted: its value is the good one from here on; one that waits for confirmation must come again.
    mutating func representationReceived(
        _ new: Validators,
        sent: Validators,
        comparison: Comparison,
        dateTellsApart: Bool,
        isAdopted: Bool
    ) {
        self.wasChecked = self.isDoubtful && sent.isEmpty
        // 304 was said of a value that another has taken the place of, under the very validator.
        let wasConfirmed = self.unverified > 0 && sent.isEmpty
        self.isCaught = false
        self.unverified = 0
        let hasSameTag = new.etag != nil && new.etag == self.validators.etag && new.url == self.validators.url
        switch comparison {
        case .sameBytes where new.etag != nil && self.validators.etag != nil && !hasSameTag:
            self.flaps = min(self.flaps + 1, 2 * Self.flapLimit)
            self.isUnreliable = self.isUnreliable || self.flaps >= Self.flapLimit
        case .sameBytes, .sameValue:
            self.settleDown()
        case .differs:
            let isStrong = new.etag?.starts(with: "W/".utf8) == false
            let hasSameDate =
                new.etag == nil && self.validators.etag == nil && dateTellsApart && new.url == self.validators.url
                && new.lastModified != nil && new.lastModified == self.validators.lastModified
            self.isCaught = (hasSameTag && (isStrong || wasConfirmed)) || (hasSameDate && wasConfirmed)
            self.wasReused = self.wasReused || self.isCaught
        }
        self.countUseless(new, sent: sent, comparison: comparison)
        guard isAdopted else { return }
        self.validators = new
        self.sendsDate = dateTellsApart
    }

    private mutating func settleDown() {
        guard self.flaps > 0 else { return }
        self.flaps -= 1
        if self.flaps == 0 { self.isUnreliable = false }
    }

    private mutating func countUseless(_ new: Validators, sent: Validators, comparison: Comparison) {
        guard comparison == .sameBytes, let asked = sent.etag, let answered = new.etag,
            Self.opaque(asked) == Self.opaque(answered)
        else {
            self.uselessAnswers = 0
            return
        }
        self.uselessAnswers = min(self.uselessAnswers + 1, Self.uselessLimit)
        self.isUseless = self.isUseless || self.uselessAnswers >= Self.uselessLimit
    }

    /// A tag without `W/` and without what proxies add when they compress: `"x-gzip"`, `"x;br"`.
    static func opaque(_ tag: [UInt8]) -> ArraySlice<UInt8> {
        var tag = tag[...]
        if tag.starts(with: "W/".utf8) { tag = tag.dropFirst(2) }
        if tag.last == UInt8(ascii: "\"") { tag = tag.dropLast() }
        for coding in ["gzip", "br", "zstd"] where tag.count > coding.utf8.count {
            guard tag.suffix(coding.utf8.count).elementsEqual(coding.utf8) else { continue }
            let rest = tag.dropLast(coding.utf8.count)
            if rest.last == UInt8(ascii: "-") || rest.last == UInt8(ascii: ";") { return rest.dropLast() }
        }
        return tag
    }
}
