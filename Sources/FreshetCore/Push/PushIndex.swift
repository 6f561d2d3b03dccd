// Which subscriptions a change concerns.

package import JSON

/// A part of the log that subscriptions read together: one source, and one view of it.
package struct PushFeed: Hashable, Sendable {
    package var source: String
    /// `nil` for the whole value.
    package var pointer: Pointer?

    package var view: View { self.pointer.map { .pointer($0) } ?? .whole }
}

/// Subscriptions by what they follow. A change looks at those of its source, and at each different pattern with a `*` once,
/// however many subscriptions have it.
struct PushIndex: Sendable {
    private struct Pattern: Hashable {
        var sources: SourcePattern
        var pointer: Pointer?
    }

    private var byName: [String: [Pointer?: Set<PushID>]] = [:]
    private var byPattern: [Pattern: Set<PushID>] = [:]
    private var pointers: [Pointer: Int] = [:]

    private static func isPrefix(_ term: SourceSelector.Term) -> Bool {
        if case .prefix = term { true } else { false }
    }

    /// Whether one more subscription keeps the bound on different patterns and pointers.
    func hasRoom(for subscription: PushSubscription) -> Bool {
        if let pointer = subscription.pointer, self.pointers[pointer] == nil,
            self.pointers.count >= Defaults.Push.maxPatterns
        {
            return false
        }
        let pattern = subscription.pattern
        guard pattern.terms.contains(where: Self.isPrefix) else { return true }
        return self.byPattern[Pattern(sources: pattern, pointer: subscription.pointer)] != nil
            || self.byPattern.count < Defaults.Push.maxPatterns
    }

    mutating func insert(_ subscription: PushSubscription) {
        let (pattern, pointer) = (subscription.pattern, subscription.pointer)
        if let pointer { self.pointers[pointer, default: 0] += 1 }
        if pattern.terms.contains(where: Self.isPrefix) {
            self.byPattern[Pattern(sources: pattern, pointer: pointer), default: []].insert(subscription.id)
        } else {
            for term in pattern.terms {
                self.byName[term.description, default: [:]][pointer, default: []].insert(subscription.id)
            }
        }
    }

    mutating func remove(_ subscription: PushSubscription) {
        let (pattern, pointer) = (subscription.pattern, subscription.pointer)
        if let pointer {
            let left = (self.pointers[pointer] ?? 1) - 1
            self.pointers[pointer] = left > 0 ? left : nil
        }
        if pattern.terms.contains(where: Self.isPrefix) {
            let key = Pattern(sources: pattern, pointer: pointer)
            self.byPattern[key]?.remove(subscription.id)
            if self.byPattern[key]?.isEmpty == true { self.byPattern[key] = nil }
        } else {
            for term in pattern.terms {
                let name = term.description
                self.byName[name]?[pointer]?.remove(subscription.id)
                if self.byName[name]?[pointer]?.isEmpty == true { self.byName[name]?[pointer] = nil }
                if self.byName[name]?.isEmpty == true { self.byName[name] = nil }
            }
        }
    }

    /// The subscriptions that follow a source, by what of it.
    func subscriptions(to source: String) -> [PushFeed: [PushID]] {
        var found: [PushFeed: [PushID]] = [:]
        for (pointer, ids) in self.byName[source] ?? [:] {
            found[PushFeed(source: source, pointer: pointer), default: []] += ids
        }
        for (pattern, ids) in self.byPattern where pattern.sources.names(source) {
            found[PushFeed(source: source, pointer: pattern.pointer), default: []] += ids
        }
        return found
    }

    /// Those that read a part of the log together.
    func subscriptions(to feed: PushFeed) -> [PushID] {
        var found = Array(self.byName[feed.source]?[feed.pointer] ?? [])
        for (pattern, ids) in self.byPattern
        where pattern.pointer == feed.pointer && pattern.sources.names(feed.source) {
            found += ids
        }
        return found
    }
}
