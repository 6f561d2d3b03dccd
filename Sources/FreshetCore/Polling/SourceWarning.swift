// What the owner of a source should know although its polls go well.

/// A finding about a source's upstream: in `/v1/sources`, and counted by kind in the metrics.
package struct SourceWarning: Hashable, Sendable {
    /// What scripts tell findings apart by.
    package enum Kind: String, CaseIterable, Sendable {
        /// The entity tag changes although the bytes do not, as behind several servers.
        case etagUnreliable = "etag_unreliable"
        /// One validator stood for two values, so that a 304 proves little.
        case etagReused = "etag_reused"
        /// The upstream sends the whole value again and again for the very tag that it gave out.
        case etagUseless = "etag_useless"
        /// The upstream answers conditional requests with 400 or 412, and is asked without a condition.
        case conditionRefused = "condition_refused"
        /// The value goes back and forth between two, as from replicas that disagree.
        case flapping
        /// Items lack an identity, share one, or changed its type: changes are sent as whole values.
        case keyUnusable = "key_unusable"
        /// Some members change with every single poll.
        case volatile
        /// `settle` waits for a value that no two polls agree on.
        case unsettled
        /// The upstream's certificate is not checked.
        case insecure
        /// The upstream says 410 Gone, and is asked no more.
        case gone
    }

    package var kind: Kind
    /// One sentence for a person, with the fix where there is one.
    package var message: String

    package init(_ kind: Kind, _ message: String? = nil) {
        self.kind = kind
        self.message = message ?? kind.meaning
    }
}

extension SourceWarning.Kind {
    fileprivate var meaning: String {
        switch self {
        case .etagUnreliable:
            "the upstream changes its ETag without changing the value, as several servers behind one name do; "
                + "bodies are compared instead"
        case .etagReused:
            "the upstream gave one ETag or Last-Modified to two different values; every tenth poll is unconditional, or as "
                + "`verify_every` says"
        case .etagUseless:
            "the ETag never yields a 304; where a proxy rewrites it for compression, `accept_encoding: identity` helps"
        case .conditionRefused:
            "the upstream refuses conditional requests (400 or 412); it is polled without If-None-Match and "
                + "If-Modified-Since, so every poll transfers the whole value"
        case .flapping:
            "the value alternates between two, as if replicas disagreed; `settle: 2` waits until a "
                + "value is seen twice"
        case .keyUnusable:
            "items have no `key` that distinguishes them, so their changes are sent as whole values; check `items` and "
                + "`key`"
        case .volatile: "some members change with every poll; `ignore` them where they are noise"
        case .unsettled:
            "no two polls agree on a value, so `settle` accepts none and the served value does not change"
        case .insecure: "`tls.insecure` is set: anyone on the network path can read and change what this source sends"
        case .gone: "the upstream answered 410 Gone; not polled until the source is resumed or reloaded"
        }
    }
}

extension SourceStatus {
    /// Adds or removes the finding of a kind, with the message that goes with it.
    mutating func setWarning(_ kind: SourceWarning.Kind, _ isFound: Bool, message: @autoclosure () -> String? = nil) {
        guard isFound || !self.warnings.isEmpty else { return }
        let index = self.warnings.firstIndex { $0.kind == kind }
        if let index, !isFound { self.warnings.remove(at: index) }
        if index == nil, isFound { self.warnings.append(SourceWarning(kind, message())) }
    }
}
