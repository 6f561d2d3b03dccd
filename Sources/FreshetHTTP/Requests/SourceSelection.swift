// The part of a path that names sources, and what of it the caller may have.

import FreshetCore
import FreshetStreaming
import System

/// Sources that a request reads. The instances among them are there for as long as this is.
struct OpenedSources: Sendable {
    /// Ascending.
    var sources: [SourceID]
    /// What names them, as far as the caller may read.
    var pattern: SourcePattern
    /// One for each instance.
    var holds: [SourceHold]
}

/// Paths are split before they are decoded: at commas into names, and a name at slashes into a template and the values of its
/// parameters. In a route that goes on after the name, an instance's slash is `%2F`; it may be so in any.
enum SourceSelection {
    /// The list of names in a path; `nil` if it is not one.
    ///
    /// - Throws: 400 for too many names.
    static func selector(_ path: some Collection<UInt8>) throws(Problem) -> SourceSelector? {
        let parts = path.split(
            separator: UInt8(ascii: ","),
            maxSplits: SourceSelector.maxTerms,
            omittingEmptySubsequences: false
        )
        var terms: [SourceSelector.Term] = []
        for part in parts {
            let text = Self.text(part)
            guard terms.count + text.utf8.lazy.filter({ $0 == UInt8(ascii: ",") }).count < SourceSelector.maxTerms
            else {
                throw Problem(400, "too_many_sources", "A request names at most \(SourceSelector.maxTerms) sources.")
            }
            guard let selector = SourceSelector(text) else { return nil }
            terms += selector.terms
        }
        return SourceSelector(terms)
    }

    /// A name as ``SourceSelector`` reads it: with the values of parameters still encoded.
    private static func text(_ part: some Collection<UInt8>) -> String {
        part.contains(UInt8(ascii: "/"))
            ? String(decoding: part, as: UTF8.self) : PercentCoding.decoded(part, plusIsSpace: false)
    }

    /// The one name in a path; what is none is given back as it is.
    static func name(_ path: some Collection<UInt8>) -> String {
        let text = Self.text(path)
        return InstanceName.isInstance(text) ? InstanceName(text)?.text ?? text : text
    }

    /// The sources that a list of names stands for and the caller may read, ascending, and what names them. Makes no instance.
    ///
    /// - Throws: 404 where a name is no source's that the caller may read, or none fits; 401 where an anonymous caller may
    ///   not read it, whether it is there or not; 400 for too many names.
    static func resolve(
        _ path: some Collection<UInt8>,
        in hub: Hub,
        for principal: Principal
    ) throws(Problem) -> (sources: [SourceID], pattern: SourcePattern) {
        let grant = principal.grants.read
        guard let selector = try self.selector(path) else {
            throw self.absence(of: nil, in: hub, grant, for: principal)
        }
        try self.check(selector, in: hub, for: principal)
        return try self.resolve(selector, in: hub, for: principal)
    }

    /// Sees whether the caller could open what a list of names stands for, now or later: instances need not be there.
    ///
    /// - Throws: as ``resolve(_:in:for:)``.
    static func check(_ path: some Collection<UInt8>, in hub: Hub, for principal: Principal) throws(Problem) {
        guard let selector = try self.selector(path) else {
            throw self.absence(of: nil, in: hub, principal.grants.read, for: principal)
        }
        try self.check(selector, in: hub, for: principal)
        let instances = selector.instances
        let others = selector.terms.filter { term in
            if case .exact(let name) = term { !InstanceName.isInstance(name) } else { instances.isEmpty }
        }
        if !others.isEmpty { _ = try self.resolve(SourceSelector(others), in: hub, for: principal) }
    }

    private static func resolve(
        _ selector: SourceSelector,
        in hub: Hub,
        for principal: Principal
    ) throws(Problem) -> (sources: [SourceID], pattern: SourcePattern) {
        let grant = principal.grants.read
        switch hub.resolve(selector, within: grant) {
        case .failure(let unknown): throw self.absence(of: unknown.name, in: hub, grant, for: principal)
        case .success(let sources) where sources.isEmpty: throw self.absence(of: nil, in: hub, grant, for: principal)
        case .success(let sources): return (sources, SourcePattern(selector).intersection(grant))
        }
    }

    /// As ``resolve(_:in:for:)``, for one who is going to read: instances that there are not yet are made.
    ///
    /// - Throws: besides, 503 and 429 where as many instances are being read as may.
    static func open(
        _ path: some Collection<UInt8>,
        in hub: Hub,
        for principal: Principal,
        from client: PeerAddress
    ) throws(Problem) -> OpenedSources {
        let grant = principal.grants.read
        guard let selector = try self.selector(path) else {
            throw self.absence(of: nil, in: hub, grant, for: principal)
        }
        // All before the first is made: of a request that names what is not there nothing is left.
        try self.check(selector, in: hub, for: principal)
        let address = client.countedNetwork?.readClient
        var holds: [SourceHold] = []
        for name in selector.instances {
            do throws(InstanceRefusal) {
                guard let maker = hub.instanceMaker else { throw .unknown }
                holds.append(try maker.hold(name, for: principal, from: address))
            } catch {
                throw self.problem(error, name: name.text, in: hub, for: principal)
            }
        }
        let (sources, pattern) = try self.resolve(selector, in: hub, for: principal)
        return OpenedSources(sources: sources, pattern: pattern, holds: holds)
    }

    /// As ``open(_:in:for:from:)``, of one source.
    static func openOne(
        _ path: some Collection<UInt8>,
        in hub: Hub,
        for principal: Principal,
        from client: PeerAddress
    ) throws(Problem) -> (source: SourceID, holds: [SourceHold]) {
        let name = self.name(path)
        guard InstanceName.isInstance(name) else {
            return (try self.one(named: name, in: hub, for: principal, \.read), [])
        }
        guard InstanceName(name) != nil else {
            throw self.absence(of: nil, in: hub, principal.grants.read, for: principal)
        }
        let opened = try self.open(name.utf8, in: hub, for: principal, from: client)
        guard let source = opened.sources.first else { throw Problem.unknownSource(name) }
        return (source, opened.holds)
    }

    /// Whether the caller may read each of the instances that are named.
    private static func check(
        _ selector: SourceSelector,
        in hub: Hub,
        for principal: Principal
    ) throws(Problem) {
        for name in selector.instances {
            // Both are looked at in any case: how long it takes says nothing about what is there (FAULTS F52).
            let isPermitted = hub.instanceMaker?.permits(name, to: principal) ?? false
            guard principal.grants.read.matches(name.text), isPermitted else {
                throw self.absence(of: name.text, in: hub, principal.grants.read, for: principal)
            }
        }
    }

    private static func problem(
        _ refusal: InstanceRefusal,
        name: String,
        in hub: Hub,
        for principal: Principal
    ) -> Problem {
        switch refusal {
        case .unknown: self.absence(of: name, in: hub, principal.grants.read, for: principal)
        case .full:
            .busy(
                "too_many_instances",
                "As many instances of this source are being read as its max_instances allows.",
                retryAfter: Int64.random(in: 1...10)
            )
        case .caller:
            .overRate(
                "too_many_instances_of_caller",
                "This caller reads as many instances of this source as its max_instances_per_caller allows; close some, or come later.",
                retryAfter: Int64.random(in: 1...10)
            )
        }
    }

    /// The one source of this name, where the caller has this grant for it. Makes no instance.
    ///
    /// - Throws: as ``resolve(_:in:for:)``.
    static func one(
        _ path: some Collection<UInt8>,
        in hub: Hub,
        for principal: Principal,
        _ grant: KeyPath<Grants, SourcePattern> = \.read
    ) throws(Problem) -> SourceID {
        try self.one(named: self.name(path), in: hub, for: principal, grant)
    }

    /// As ``one(_:in:for:_:)``, of a name that is decoded.
    static func one(
        named name: String,
        in hub: Hub,
        for principal: Principal,
        _ grant: KeyPath<Grants, SourcePattern>
    ) throws(Problem) -> SourceID {
        let pattern = principal.grants[keyPath: grant]
        // Both are looked at in any case: how long it takes says nothing about what is there (FAULTS F52).
        let source = hub.source(named: name)
        let isPermitted = principal.grants.admin || hub.permits(name, to: principal)
        guard pattern.matches(name), isPermitted, let source else {
            throw self.absence(of: self.isName(name) ? name : nil, in: hub, pattern, for: principal)
        }
        return source
    }

    private static func isName(_ text: String) -> Bool {
        SourceName.isValid(text) || InstanceName(text) != nil
    }

    /// The answer to a name that is no source's, or of which the caller may not know.
    private static func absence(
        of name: String?,
        in hub: Hub,
        _ pattern: SourcePattern,
        for principal: Principal
    ) -> Problem {
        let isForEverybody = name.map { pattern.matches($0) && !hub.isBound($0) } ?? pattern.isAll
        return principal.kind == .anonymous && !isForEverybody ? .credentialRequired : .unknownSource(name)
    }
}
