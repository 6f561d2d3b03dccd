// What a few requests say about a source: its value, its collection, its noise, its validators, its pace.

import HTTPFields
package import JSON
import JSONPath

/// The answers of one probe, judged.
package struct SourceProbe: Sendable {
    package let source: SourceConfiguration
    package let answers: [ProbedAnswer]
    /// The value of each round, the oldest first; empty where none could be read.
    package let documents: [Document]
    /// Where the keyed items stand: as configured, else as guessed; `nil` where nothing tells items apart.
    package let collection: ItemRule?
    /// Further collections that were found, where none is configured.
    package let otherCollections: [ItemRule]
    /// Of the members that the source does not ignore.
    package let noise: [NoisyMember]
    package let verdict: ValidatorVerdict
    /// Why there is no value: of the first answer.
    package let failure: UpstreamError?
    /// The format that had to be chosen against the media type, since the body is JSON.
    package let assumedFormat: SourceConfiguration.Format?

    /// - Parameters:
    ///   - source: How answers are read. Its `items`, `key` and `ignore` count where they are set.
    ///   - answers: Those to the questions of a ``ProbePlan``.
    package init(_ source: SourceConfiguration, answers: [ProbedAnswer]) {
        self.source = source
        self.answers = answers
        var source = source
        var reading = Reading(source)
        let rounds = answers.filter { $0.question.condition.isEmpty && !$0.question.isIdentity }
        var failure = rounds.lazy.compactMap { Self.failure(of: $0) }.first
        if source.format == nil, let first = rounds.first?.representation, reading.document(of: first) == nil {
            source.format = .json
            reading = Reading(source)
            if reading.document(of: first) == nil { source.format = nil }
        }
        self.assumedFormat = source.format != self.source.format ? source.format : nil
        reading = Reading(source)
        var documents: [Document] = []
        var times: [WallTime] = []
        for answer in rounds {
            guard let response = answer.representation else { continue }
            guard let document = reading.document(of: response) else {
                failure = failure ?? reading.failure
                continue
            }
            documents.append(document)
            times.append(answer.at)
        }
        self.documents = documents
        self.failure = documents.isEmpty ? failure : nil
        let guesses = source.itemRule == nil ? Self.guesses(in: documents) : []
        let collection = source.itemRule ?? guesses.first
        self.collection = collection
        self.otherCollections = Array(guesses.dropFirst())
        let found = NoisyMember.find(in: documents, items: collection, times: times)
        self.noise = found.filter { !source.ignore.contains($0.pattern) }
        let ignored = source.ignore + found.filter(\.isNoise).map(\.pattern)
        self.verdict = ValidatorVerdict(answers) { response in
            reading.document(of: response)?.hash(ignoring: ignored)
        }
    }

    /// The first answer with a value.
    var first: ProbedAnswer? { self.answers.first { $0.representation != nil } }

    /// The fields of the first answer, read.
    var freshness: ResponseFreshness? {
        guard let first = self.answers.first, let response = first.response else { return nil }
        return ResponseFreshness(
            fields: response.fields,
            status: response.status,
            wallNow: Int(clamping: first.at.seconds),
            countsShared: self.source.respectCache == .shared
        )
    }

    /// How often the value changed between two rounds, noise aside.
    package var changes: Int {
        let ignored = self.source.ignore + self.noise.filter(\.isNoise).map(\.pattern)
        let hashes = self.documents.map { $0.hash(ignoring: ignored) }
        return zip(hashes, hashes.dropFirst()).count { $0 != $1 }
    }

    /// From the first round to the last.
    package var watched: Duration {
        let rounds = self.answers.filter { $0.question.condition.isEmpty && $0.representation != nil }
        guard let first = rounds.first, let last = rounds.last else { return .zero }
        return .milliseconds(max(0, last.at.milliseconds - first.at.milliseconds))
    }

    /// Until when the upstream's certificate holds; `nil` without TLS.
    package var certificateEnd: WallTime? { self.answers.lazy.compactMap { $0.trace?.certificateEnd }.first }

    private static func failure(of answer: ProbedAnswer) -> UpstreamError? {
        switch answer.result {
        case .failure(let error): return error
        case .success(let response):
            guard answer.representation == nil else { return nil }
            let freshness = ResponseFreshness(
                fields: response.fields,
                status: response.status,
                wallNow: Int(clamping: answer.at.seconds)
            )
            return UpstreamError(status: response.status, freshness)
        }
    }

    /// The collections that all documents have, with a key that some items keep from one to the next: the one in which most
    /// changed first, else the largest.
    private static func guesses(in documents: [Document]) -> [ItemRule] {
        guard let last = documents.last else { return [] }
        let rules = ItemKeyGuess.rules(for: last).filter { rule in
            documents.allSatisfy { $0.itemChanges(to: $0, items: rule) != nil } && Self.keepsItems(rule, in: documents)
        }
        let ranked = rules.enumerated().map { (rule: $1, place: $0, changed: Self.changedBytes(of: $1, in: documents)) }
        return ranked.sorted { ($1.changed, $0.place) < ($0.changed, $1.place) }.map(\.rule)
    }

    /// How long the patches from each document's collection to the next are together.
    private static func changedBytes(of rule: ItemRule, in documents: [Document]) -> Int {
        let collections = documents.compactMap { $0.extracting(rule.items) }
        let own = ItemRule(items: Pointer(), key: rule.key)
        return zip(collections, collections.dropFirst()).reduce(0) { bytes, step in
            bytes + (step.0.hash == step.1.hash ? 0 : step.0.patch(to: step.1, items: own).text.count)
        }
    }

    /// Whether the identities are not made afresh for each answer: then every item would be deleted and created.
    private static func keepsItems(_ rule: ItemRule, in documents: [Document]) -> Bool {
        let steps = zip(documents, documents.dropFirst()).filter { $0.hash != $1.hash }
        guard !steps.isEmpty else { return true }
        return steps.contains { old, new in
            guard let changes = old.itemChanges(to: new, items: rule), let before = old.value(at: rule.items) else {
                return false
            }
            return changes.deletedCount < before.count || before.count == 0
        }
    }

    /// Reads bodies as the source's polls would, without what only a running source knows.
    private final class Reading {
        private let source: SourceConfiguration
        private(set) var failure: UpstreamError?

        init(_ source: SourceConfiguration) {
            self.source = source
        }

        func document(of response: ExchangeResponse) -> Document? {
            do throws(UpstreamError) {
                let type = response.value(of: "content-type")
                let format =
                    if let format = self.source.format { format } else {
                        try Representation.format(ofContentType: type).get()
                    }
                var hints = Representation.Hints(
                    contentType: type,
                    separator: self.source.separator,
                    collection: self.source.collection
                )
                let limits = ParseLimits(maxBytes: max(self.source.maxBodyBytes, response.body.count))
                let payload = try Representation.document(
                    from: response.body,
                    format: format,
                    limits: limits,
                    hints: &hints
                )
                guard let root = self.source.valueRoot else { return self.selected(payload) }
                guard let value = payload.extracting(root) else {
                    throw UpstreamError(.unexpected, "the payload has nothing at `root` \(root)")
                }
                return self.selected(value)
            } catch {
                self.failure = self.failure ?? error
                return nil
            }
        }

        private func selected(_ value: Document) -> Document? {
            guard let select = self.source.select else { return value }
            return (try? select.value(in: value)) ?? nil
        }
    }
}
