// Things that a transport holds for its connections, each in a place that four bytes name.

/// A table whose places are used again. Belongs to one thread.
struct PlaceTable<Element> {
    private var elements: [Element?] = []
    private var free: [Int32] = []

    /// Takes a place.
    mutating func insert(_ element: Element) -> Int32 {
        if let place = self.free.popLast() {
            self.elements[Int(place)] = element
            return place
        }
        self.elements.append(element)
        return Int32(truncatingIfNeeded: self.elements.count - 1)
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
}
