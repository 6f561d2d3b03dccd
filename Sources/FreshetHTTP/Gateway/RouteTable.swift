// Every path of the gateway: found by Hummingbird's router, and listed here for `Allow`, which the router cannot tell.

import HTTPTypes
import Hummingbird

/// Collects the routes while they are made.
struct RouteTable {
    typealias Handler = @Sendable (GatewayContext) async throws -> Answer

    let router = Router(context: GatewayContext.self)
    private(set) var paths = PathTable()

    /// Adds a route. GET brings HEAD along; every path answers OPTIONS.
    mutating func on(_ method: HTTPRequest.Method, _ path: String, _ handler: @escaping Handler) {
        self.router.on(RouterPath(path), method: method) { _, context in
            try await handler(context)
        }
        self.paths.add(path, methods: method == .get ? ["GET", "HEAD"] : [method.rawValue])
    }
}

/// What each path answers to.
struct PathTable: Sendable {
    /// A path in parts; a part that begins with `:` stands for any one.
    private struct Pattern: Hashable, Sendable {
        var parts: [String]

        init(_ path: String) {
            self.parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        }

        func matches(_ path: [Substring]) -> Bool {
            path.count == self.parts.count
                && zip(self.parts, path).allSatisfy { $0.hasPrefix(":") ? !$1.isEmpty : $0.utf8.elementsEqual($1.utf8) }
        }
    }

    private struct Entry: Sendable {
        var pattern: Pattern
        var path: String
        var methods: [String]
    }

    private var entries: [Entry] = []

    /// The paths as they were added, each with its methods.
    var all: [(path: String, methods: [String])] {
        self.entries.map { ($0.path, $0.methods) }
    }

    fileprivate mutating func add(_ path: String, methods: [String]) {
        let pattern = Pattern(path)
        if let index = self.entries.firstIndex(where: { $0.pattern == pattern }) {
            self.entries[index].methods += methods
        } else {
            self.entries.append(Entry(pattern: pattern, path: path, methods: methods))
        }
    }

    /// The methods that a path answers to, OPTIONS among them; `nil` where there is nothing.
    func methods(at path: String) -> [String]? {
        let parts = path.split(separator: "/", maxSplits: 16, omittingEmptySubsequences: false)
        guard let entry = self.entries.first(where: { $0.pattern.matches(parts) }) else { return nil }
        return entry.methods + ["OPTIONS"]
    }
}
