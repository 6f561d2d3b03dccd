// What values of a source look like, learned from those that were seen.

package import JSON

/// The union of all values that were observed, as a tree of bounded size. It only ever grows wider: a schema made from it
/// changes when something is seen that was not seen before, and at no other time.
package struct ValueShape: Sendable {
    /// The most places in the tree; what lies deeper or beside them is not told apart.
    static let maxPlaces = 2_000
    /// An object with more names than this is a table by name, whose members have one shape.
    static let maxNames = 100
    /// The most values of one document that are looked at: a few milliseconds' worth.
    static let maxValues = 100_000
    /// The most elements of one array, spread evenly over it. What one in a thousand has would be missed among fewer.
    static let maxElements = 10_000
    /// An enumeration has at most so many strings, each seen so often on average.
    static let maxStrings = 8
    static let usesPerString = 5
    /// Longer strings are none of an enumeration.
    static let maxStringBytes = 64

    /// What was seen at one place.
    struct Place: Sendable {
        /// By raw value of `Value.Kind`.
        var kinds: UInt8 = 0
        var hasFraction = false
        /// How many objects were seen here, and in how many of them each member was.
        var objects = 0
        var members: [String: Member] = [:]
        /// The members' one place, once they are too many to be told apart.
        var anyMember: Int?
        var element: Int?
        var strings: Set<String> = []
        var stringCount = 0
        /// Too many strings for an enumeration.
        var hasManyStrings = false
        var formats = StringFormat.all
    }

    /// A member that was seen in objects of one place.
    struct Member: Sendable {
        var place: Int
        var count: Int
        /// A change added or removed it.
        var isOptional = false
    }

    private(set) var places = [Place()]
    /// Values were left out because the tree is full.
    private(set) var isFull = false

    package init() {}

    /// Takes in a value of the source.
    package mutating func observe(_ document: Document) {
        var budget = Self.maxValues
        self.observe(document.root, at: 0, &budget)
    }

    /// Takes in a change: what a patch document (RFC 6902) puts at its places, and that members it removes or adds were
    /// not always there.
    package mutating func observe(patch: Document) {
        var budget = Self.maxValues
        for operation in patch.root.elements {
            guard budget > 0, let name = operation["op"]?.string, let text = operation["path"]?.string,
                let pointer = Pointer(text), let last = pointer.tokens.last,
                let parent = self.place(of: pointer.tokens.dropLast())
            else { continue }
            let value = name == "add" || name == "replace" ? operation["value"] : nil
            if let element = self.places[parent].element {
                if let value { self.observe(value, at: element, &budget) }
                continue
            }
            if let value, let member = self.memberPlace(last.text, of: parent) {
                self.observe(value, at: member, &budget)
            }
            // What is added was not there, and what is removed need not be.
            if name != "replace" { self.places[parent].members[last.text]?.isOptional = true }
        }
    }

    /// The place that tokens lead to; nil where nothing like it was seen.
    private func place(of tokens: some Sequence<Pointer.Token>) -> Int? {
        var place = 0
        for token in tokens {
            let known = self.places[place]
            if known.element != nil, token.arrayIndex != nil || token.text == "-" {
                place = known.element ?? place
            } else if let member = known.members[token.text]?.place ?? known.anyMember {
                place = member
            } else {
                return nil
            }
        }
        return place
    }

    // MARK: Taking in

    /// Recursive as far as the tree is deep, which the parser bounds.
    private mutating func observe(_ value: Value, at place: Int, _ budget: inout Int) {
        guard budget > 0 else { return }
        budget -= 1
        self.places[place].kinds |= 1 << value.kind.rawValue
        switch value.kind {
        case .null, .false, .true: break
        case .number:
            if !self.places[place].hasFraction, !value.isInteger { self.places[place].hasFraction = true }
        case .string: self.observeString(value, at: place)
        case .array:
            guard value.count > 0, let element = self.elementPlace(of: place) else { return }
            let stride = (value.count + Self.maxElements - 1) / Self.maxElements
            for (position, child) in value.elements.enumerated() where position % stride == 0 {
                self.observe(child, at: element, &budget)
            }
        case .object:
            self.places[place].objects += 1
            for member in value.members {
                guard budget > 0 else { return }
                self.observeMember(member.name, member.value, of: place, &budget)
            }
        }
    }

    private mutating func observeMember(_ name: String, _ value: Value, of place: Int, _ budget: inout Int) {
        guard let member = self.memberPlace(name, of: place) else { return }
        self.places[place].members[name]?.count += 1
        self.observe(value, at: member, &budget)
    }

    /// The place of a member, which is made where it is new; nil where there is no room.
    private mutating func memberPlace(_ name: String, of place: Int) -> Int? {
        if self.places[place].anyMember == nil, self.places[place].members[name] == nil,
            self.places[place].members.count >= Self.maxNames
        {
            self.mergeMembers(of: place)
        }
        if let any = self.places[place].anyMember { return any }
        if let known = self.places[place].members[name] { return known.place }
        let new = self.newPlace()
        if let new { self.places[place].members[name] = Member(place: new, count: 0) }
        return new
    }

    private mutating func elementPlace(of place: Int) -> Int? {
        if let element = self.places[place].element { return element }
        let new = self.newPlace()
        self.places[place].element = new
        return new
    }

    private mutating func newPlace() -> Int? {
        guard self.places.count < Self.maxPlaces else {
            self.isFull = true
            return nil
        }
        self.places.append(Place())
        return self.places.count - 1
    }

    private mutating func observeString(_ value: Value, at place: Int) {
        self.places[place].stringCount += 1
        guard !self.places[place].hasManyStrings || !self.places[place].formats.isEmpty, let utf8 = value.utf8 else {
            return
        }
        self.places[place].formats.formIntersection(StringFormat(of: utf8))
        guard !self.places[place].hasManyStrings else { return }
        if utf8.count <= Self.maxStringBytes {
            self.places[place].strings.insert(String(decoding: utf8, as: UTF8.self))
        }
        if utf8.count > Self.maxStringBytes || self.places[place].strings.count > Self.maxStrings {
            self.places[place].hasManyStrings = true
            self.places[place].strings = []
        }
    }

    // MARK: Tables by name

    /// Makes one shape of all members of a place. Their own places are given up, which happens once to each.
    private mutating func mergeMembers(of place: Int) {
        let members = self.places[place].members.sorted { $0.key < $1.key }.map(\.value.place)
        self.places[place].members = [:]
        guard let first = members.first else { return }
        self.places[place].anyMember = first
        for other in members.dropFirst() { self.merge(other, into: first) }
    }

    private mutating func merge(_ from: Int, into target: Int) {
        let other = self.places[from]
        self.places[from] = Place()
        self.places[target].kinds |= other.kinds
        self.places[target].hasFraction = self.places[target].hasFraction || other.hasFraction
        self.places[target].objects += other.objects
        self.places[target].stringCount += other.stringCount
        self.places[target].formats.formIntersection(other.formats)
        self.places[target].strings.formUnion(other.strings)
        if other.hasManyStrings || self.places[target].strings.count > Self.maxStrings {
            self.places[target].hasManyStrings = true
            self.places[target].strings = []
        }
        if let element = other.element {
            if let own = self.places[target].element {
                self.merge(element, into: own)
            } else {
                self.places[target].element = element
            }
        }
        if let any = other.anyMember {
            self.mergeMembers(of: target)
            if let own = self.places[target].anyMember {
                self.merge(any, into: own)
            } else {
                self.places[target].anyMember = any
            }
        }
        for (name, member) in other.members.sorted(by: { $0.key < $1.key }) {
            if let any = self.places[target].anyMember {
                self.merge(member.place, into: any)
            } else if let own = self.places[target].members[name] {
                self.places[target].members[name]?.count += member.count
                if member.isOptional { self.places[target].members[name]?.isOptional = true }
                self.merge(member.place, into: own.place)
            } else {
                self.places[target].members[name] = member
            }
        }
        if self.places[target].members.count > Self.maxNames { self.mergeMembers(of: target) }
    }
}
