// Writes JSON text: answers, events, problems.

/// Appends JSON values to bytes and puts the commas where they belong.
///
/// Inside `object`, each value follows a `name`; the writer does not check that. Copying a writer copies its text.
package struct JSONWriter: Sendable {
    /// What was written so far.
    package private(set) var text: [UInt8]
    /// Whether the next value or name is the first of its container.
    private var isFirst = true

    /// - Parameter text: bytes to append to, such as the start of a frame.
    package init(appendingTo text: [UInt8] = []) {
        self.text = text
    }

    private mutating func separate() {
        if !self.isFirst { self.text.append(UInt8(ascii: ",")) }
        self.isFirst = false
    }

    private mutating func container<Failure: Error>(
        _ open: UInt8,
        _ close: UInt8,
        _ content: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        self.separate()
        self.text.append(open)
        self.isFirst = true
        try content(&self)
        self.text.append(close)
        self.isFirst = false
    }

    package mutating func object<Failure: Error>(
        _ content: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        try self.container(UInt8(ascii: "{"), UInt8(ascii: "}"), content)
    }

    package mutating func array<Failure: Error>(
        _ content: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        try self.container(UInt8(ascii: "["), UInt8(ascii: "]"), content)
    }

    /// The name of the member whose value comes next.
    package mutating func name(_ name: String) {
        self.separate()
        appendJSONString(name, to: &self.text)
        self.text.append(UInt8(ascii: ":"))
        self.isFirst = true
    }

    package mutating func string(_ value: String) {
        self.separate()
        appendJSONString(value, to: &self.text)
    }

    package mutating func number(_ value: some FixedWidthInteger) {
        self.separate()
        self.text.append(contentsOf: String(value).utf8)
    }

    /// The shortest text that reads back as the same double; null for infinities and NaN, which JSON cannot hold.
    package mutating func number(_ value: Double) {
        guard value.isFinite else { return self.null() }
        self.separate()
        self.text.append(contentsOf: value.description.utf8)
    }

    package mutating func bool(_ value: Bool) {
        self.separate()
        self.text.append(contentsOf: (value ? "true" : "false").utf8)
    }

    package mutating func null() {
        self.separate()
        self.text.append(contentsOf: "null".utf8)
    }

    /// A value that is JSON text already, such as `Document.text`. Not checked.
    package mutating func raw(_ value: some Sequence<UInt8>) {
        self.separate()
        self.text.append(contentsOf: value)
    }

    /// A value of a document, as its text.
    package mutating func value(_ value: Value) {
        self.raw(value.text)
    }
}

// MARK: - Members in one call

extension JSONWriter {
    package mutating func member(_ name: String, _ value: String) {
        self.name(name)
        self.string(value)
    }

    package mutating func member(_ name: String, _ value: some FixedWidthInteger) {
        self.name(name)
        self.number(value)
    }

    package mutating func member(_ name: String, _ value: Double) {
        self.name(name)
        self.number(value)
    }

    package mutating func member(_ name: String, _ value: Bool) {
        self.name(name)
        self.bool(value)
    }

    /// A member whose value is JSON text already. Not checked.
    package mutating func member(_ name: String, raw value: some Sequence<UInt8>) {
        self.name(name)
        self.raw(value)
    }
}
