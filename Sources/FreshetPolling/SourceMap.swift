// Values by source, for as long as the sources last: numbers are never given out twice, and instances come and go.

package import FreshetCore

/// A dictionary whose keys are sources. What is taken out leaves nothing behind, however many sources there were.
package struct SourceMap<Value> {
    private var entries: [Int: Value] = [:]

    init() {}

    /// Sources that have a value.
    package var count: Int { self.entries.count }

    package subscript(source: SourceID) -> Value? {
        get { self.entries[source.index] }
        set { self.entries[source.index] = newValue }
    }

    /// Works on a value in place, which is made of `initial` if absent.
    subscript(source: SourceID, default initial: @autoclosure () -> Value) -> Value {
        get { self.entries[source.index] ?? initial() }
        _modify { yield &self.entries[source.index, default: initial()] }
    }

    /// Takes a value out.
    mutating func removeValue(forKey source: SourceID) -> Value? {
        self.entries.removeValue(forKey: source.index)
    }

    mutating func removeAll() {
        self = SourceMap()
    }

    /// In the order of the sources' numbers.
    package var values: some Sequence<Value> {
        self.entries.sorted { $0.key < $1.key }.lazy.map(\.value)
    }
}

extension SourceMap: Sendable where Value: Sendable {}
