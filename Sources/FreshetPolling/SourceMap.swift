// Values by source without hashing: a source's number is an index, small and never given out twice.

package import FreshetCore

/// A dictionary whose keys are sources. A look-up is one bounds check.
package struct SourceMap<Value> {
    private var slots: [Value?] = []
    /// Sources that have a value.
    package private(set) var count = 0

    init() {}

    package subscript(source: SourceID) -> Value? {
        get { self.slots.indices.contains(source.index) ? self.slots[source.index] : nil }
        set {
            if source.index >= self.slots.count {
                guard newValue != nil, source.index >= 0 else { return }
                self.slots.append(contentsOf: repeatElement(nil, count: source.index - self.slots.count + 1))
            }
            self.count += (newValue == nil ? 0 : 1) - (self.slots[source.index] == nil ? 0 : 1)
            self.slots[source.index] = newValue
        }
    }

    /// Works on a value in place, which is made of `initial` if absent.
    subscript(source: SourceID, default initial: @autoclosure () -> Value) -> Value {
        get { self[source] ?? initial() }
        _modify {
            if self[source] == nil { self[source] = initial() }
            // `slots` holds a value there since the line above; taken out and put back, so that it is not copied.
            var value = self.slots[source.index].take() ?? initial()
            defer { self.slots[source.index] = value }
            yield &value
        }
    }

    /// Takes a value out.
    mutating func removeValue(forKey source: SourceID) -> Value? {
        defer { self[source] = nil }
        return self[source]
    }

    mutating func removeAll() {
        self = SourceMap()
    }

    /// In the order of the sources' numbers.
    package var values: some Sequence<Value> { self.slots.lazy.compactMap { $0 } }
}

extension SourceMap: Sendable where Value: Sendable {}
