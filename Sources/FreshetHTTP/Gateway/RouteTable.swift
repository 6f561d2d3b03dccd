// Every path of the gateway, found segment by segment.

/// The routes as a tree of path segments. A literal segment is preferred to a parameter at the same place.
struct RouteTable: Sendable {
    /// The routes of one path.
    struct Endpoint: Sendable {
        /// The path as it was added; a segment that begins with `:` is a parameter, and a last one that begins with `*`
        /// is a parameter that may have slashes in it, or be empty.
        let path: String
        fileprivate(set) var routes: [Route] = []

        /// What `Allow` says: the methods of the routes, and OPTIONS.
        var methods: [String] { self.routes.flatMap(\.method.names) + ["OPTIONS"] }

        /// Whether pages of other origins may read what this path answers.
        var isCrossOrigin: Bool { self.routes.allSatisfy(\.isCrossOrigin) }

        /// The route for a method as the request line has it; `nil` where the path does not answer to it.
        func route(for method: String) -> Route? {
            self.routes.first { $0.method.names.contains(method) }
        }
    }

    /// A path that was found, with what stands in the place of its parameters.
    struct Match: Sendable {
        let endpoint: Endpoint
        /// Still percent-encoded.
        let parameters: [String: Substring]
    }

    private struct Node: Sendable {
        var literals: [Substring: Int] = [:]
        var parameter: (name: String, node: Int)?
        var rest: (name: String, node: Int)?
        var endpoint: Int?
    }

    /// In the order in which they were added.
    private(set) var endpoints: [Endpoint] = []
    private var nodes = [Node()]
    /// No path that is routed has more segments.
    private static let maxSegments = 16

    /// Adds a route. Every path answers OPTIONS as well.
    mutating func on(
        _ method: Route.Method,
        _ path: String,
        for access: Route.Access,
        bodyLimit: Route.BodyLimit = .dropped,
        isCrossOrigin: Bool = true,
        isForwarded: Bool = false,
        _ handler: @escaping Route.Handler
    ) {
        let route = Route(
            method: method,
            bodyLimit: bodyLimit,
            access: access,
            isCrossOrigin: isCrossOrigin,
            isForwarded: isForwarded,
            action: .answer(handler)
        )
        self.add(route, at: path)
    }

    /// Adds a route. Every path answers OPTIONS as well.
    mutating func add(_ route: Route, at path: String) {
        let node = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
            .reduce(0) { self.child(of: $0, for: $1) }
        if let endpoint = self.nodes[node].endpoint {
            self.endpoints[endpoint].routes.append(route)
        } else {
            self.nodes[node].endpoint = self.endpoints.count
            self.endpoints.append(Endpoint(path: path, routes: [route]))
        }
    }

    private mutating func child(of node: Int, for segment: Substring) -> Int {
        let next = self.nodes.count
        if segment.hasPrefix("*") {
            if let rest = self.nodes[node].rest { return rest.node }
            self.nodes[node].rest = (String(segment.dropFirst()), next)
        } else if segment.hasPrefix(":") {
            if let parameter = self.nodes[node].parameter { return parameter.node }
            self.nodes[node].parameter = (String(segment.dropFirst()), next)
        } else {
            if let literal = self.nodes[node].literals[segment] { return literal }
            self.nodes[node].literals[segment] = next
        }
        self.nodes.append(Node())
        return next
    }

    /// What stands at a path; `nil` where nothing does. Segments are compared as they came, not decoded. A parameter that may
    /// have slashes in it is what is left where no other route goes on; beside one that may have none it is not empty.
    func match(_ path: String) -> Match? {
        var node = 0
        var parameters: [String: Substring] = [:]
        var fallback: Match?
        let segments = path.dropFirst()
            .split(separator: "/", maxSplits: Self.maxSegments, omittingEmptySubsequences: false)
        for segment in segments {
            let here = self.nodes[node]
            if let rest = here.rest, let endpoint = self.nodes[rest.node].endpoint,
                !segment.isEmpty || here.parameter == nil
            {
                var parameters = parameters
                parameters[rest.name] = path[segment.startIndex...]
                fallback = Match(endpoint: self.endpoints[endpoint], parameters: parameters)
            }
            if let literal = here.literals[segment] {
                node = literal
            } else if let parameter = here.parameter, !segment.isEmpty {
                parameters[parameter.name] = segment
                node = parameter.node
            } else {
                return fallback
            }
        }
        guard let endpoint = self.nodes[node].endpoint else { return fallback }
        return Match(endpoint: self.endpoints[endpoint], parameters: parameters)
    }
}
