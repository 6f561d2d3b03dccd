// Whether a member that changes all the time says something about the answer, and nothing about what the source is about.

import HTTPFields
import JSON

/// Judges a member by its name and by two successive values.
enum NoiseSign {
    private static let timeWords = [
        "time", "stamp", "date", "generated", "updated", "now", "asof", "fetched", "retrieved", "served", "created",
        "modified", "refreshed", "epoch", "clock", "expires", "checked", "queried",
    ]
    private static let measureWords = [
        "took", "elapsed", "duration", "latency", "querytime", "executiontime", "responsetime", "processingtime",
        "generationtime", "uptime", "runtime", "age", "ms", "millis", "milliseconds",
    ]
    /// Units that stand behind such a word.
    private static let units = ["ms", "millis", "milliseconds", "us", "micros", "ns", "s", "seconds"]
    private static let tokenWords = [
        "requestid", "traceid", "correlationid", "nonce", "token", "csrf", "session", "uuid", "guid", "random", "etag",
        "hash", "checksum", "signature", "hostname", "node", "instance",
    ]
    /// How far from the time of the answer a number may be and be that time without its name saying so.
    private static let nearby = 86_400.0

    /// `time`: when the second value was received; `nil` where that is not known.
    static func isNoise(_ path: [Pointer.Token], from old: Value, to new: Value, at time: WallTime?) -> Bool {
        let name = (path.last?.text ?? "").lowercased().filter { $0.isLetter || $0.isNumber }
        switch (old.kind, new.kind) {
        case (.number, .number):
            if self.isMeasure(name) { return true }
            return self.isClock(old, new, isNamed: self.hasTimeWord(name), at: time)
        case (.string, .string):
            let (old, new) = (old.utf8 ?? [], new.utf8 ?? [])
            if self.isMoment(old), self.isMoment(new) { return true }
            if self.isUUID(old), self.isUUID(new) { return true }
            return self.tokenWords.contains { name.hasSuffix($0) } && self.isToken(old) && self.isToken(new)
        default: return false
        }
    }

    private static func isMeasure(_ name: String) -> Bool {
        let bare = self.units.first { name.hasSuffix($0) }.map { String(name.dropLast($0.count)) } ?? name
        return self.measureWords.contains { word in
            name == word || (word.count > 3 && (name.hasSuffix(word) || bare.hasSuffix(word)))
        }
    }

    private static func hasTimeWord(_ name: String) -> Bool {
        self.timeWords.contains { name.contains($0) } || name == "ts" || name == "at" || name.hasSuffix("at")
    }

    /// Unix time in seconds, milliseconds, microseconds or nanoseconds that goes forward.
    private static func isClock(_ old: Value, _ new: Value, isNamed: Bool, at time: WallTime?) -> Bool {
        guard let before = old.double, let after = new.double, after > before else { return false }
        for scale in [1.0, 1e3, 1e6, 1e9] {
            let seconds = after / scale
            // From 2001 to 2099.
            guard seconds > 1e9, seconds < 4.1e9 else { continue }
            guard !isNamed else { return true }
            guard let time else { return false }
            return abs(seconds - Double(time.milliseconds) / 1000) < self.nearby
        }
        return false
    }

    /// A date with a time, in one of the usual forms.
    private static func isMoment(_ text: [UInt8]) -> Bool {
        guard (16...40).contains(text.count) else { return false }
        if WallTime(rfc3339: String(decoding: text, as: UTF8.self)) != nil { return true }
        let form = Array("dddd-dd-dd dd:dd".utf8)
        let isISO = zip(text, form).allSatisfy { byte, form in
            switch form {
            case UInt8(ascii: "d"): byte.isDigit
            case UInt8(ascii: " "): byte == 0x20 || byte | 0x20 == UInt8(ascii: "t")
            case _: byte == form
            }
        }
        return isISO || HTTPDate(text, wallNow: 0) != nil
    }

    private static func isUUID(_ text: [UInt8]) -> Bool {
        guard text.count == 36 else { return false }
        return text.enumerated().allSatisfy { index, byte in
            [8, 13, 18, 23].contains(index) ? byte == UInt8(ascii: "-") : self.isHex(byte)
        }
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        byte.isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }

    /// One word of some length.
    private static func isToken(_ text: [UInt8]) -> Bool {
        text.count >= 4 && text.count <= 512 && text.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }
}
