// Things that a transport holds for its connections, each in a place that four bytes name.

/// A table whose places are used again. Belongs to one thread.
struct PlaceTable<Element> {
    private var elements: [Element?] = []
    private var free: [Int32] = []

    /// Takes a place for what `make` makes of it.
    mutating func insert(_ make: (Int32) -> Element) -> Int32 {
        if let place = self.free.popLast() {
            self.elements[Int(place)] = make(place)
            return place
        }
        let place = Int32(truncatingIfNeeded: self.elements.count)
        self.elements.append(make(place))
        return place
    }

    /// Gives a place back.
    @discardableResult
    mutating func remove(_ place: Int32) -> Element? {
        guard let element = self[place] else { return nil }
        self.elements[Int(place)] = nil
        self.free.append(place)
        return element
    }

    /// `nil` where the place is free.
    subscript(place: Int32) -> Element? {
        guard place >= 0, place < self.elements.count else { return nil }
        return self.elements[Int(place)]
    }

    /// Places that are taken.
    var count: Int { self.elements.count - self.free.count }

    /// What is in them.
    var all: [Element] { self.elements.compactMap { $0 } }
}
