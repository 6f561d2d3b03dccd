// Ways to parse one document: without its whitespace and by comparison with the last version, or plainly.

import CMinify

extension Storage {
    /// How many versions are parsed without a comparison after one that did not pay.
    private static let pauseAfterLoss = 15

    /// Parses a text.
    ///
    /// The whitespace goes first; what is left is compared with `last`, if there is one, which is an earlier version of the
    /// value that names with the hashes `way` lead to. Where either finds a fault, the
    /// plain parser reads the text as it came: what it says counts.
    static func parse(
        _ source: UnsafeRawBufferPointer,
        after last: Storage? = nil,
        at way: [UInt64] = [],
        limits: ParseLimits,
        costs: ComparisonCosts = ComparisonCosts()
    ) -> Result<Storage, ParseError> {
        let storage = self.parseMinified(source, after: last, at: way, limits: limits.clamped, costs: costs)
        return storage.map { .success($0) } ?? self.parsePlainly(source, limits: limits)
    }

    /// Parses a text in the plain way, which finds the first fault.
    static func parsePlainly(_ source: UnsafeRawBufferPointer, limits: ParseLimits) -> Result<Storage, ParseError> {
        let limits = limits.clamped
        let length = source.count
        guard length <= limits.maxBytes else {
            return .failure(ParseError(reason: .tooLong(limitBytes: limits.maxBytes), offset: limits.maxBytes))
        }
        guard let base = source.baseAddress, length > 0 else {
            return .failure(ParseError(reason: .unexpectedEnd, offset: 0))
        }
        var result: Result<Tape, ParseError> = .failure(ParseError(reason: .unexpectedEnd, offset: 0))
        let text = [UInt8](unsafeUninitializedCapacity: length + Parser.padding) { buffer, count in
            guard let bytes = buffer.baseAddress else { return }
            UnsafeMutableRawPointer(bytes).copyMemory(from: base, byteCount: length)
            (bytes + length).initialize(repeating: 0, count: Parser.padding)
            result = Tape.parse(bytes, end: length, limits: limits)
            if case .success(let tape) = result { count = tape.textLength }
        }
        return result.flatMap { $0.storage(text, sourceLength: length, limits: limits) }
    }

    /// The limits are clamped already.
    ///
    /// - Returns: nil where the text has a fault, or exceeds the limits.
    private static func parseMinified(
        _ source: UnsafeRawBufferPointer,
        after last: Storage?,
        at way: [UInt64],
        limits: ParseLimits,
        costs: ComparisonCosts
    ) -> Storage? {
        guard source.count <= limits.maxBytes else { return nil }
        var source = source
        if source.count >= 3, source[0] == 0xEF, source[1] == 0xBB, source[2] == 0xBF {
            source = UnsafeRawBufferPointer(rebasing: source[3...])
        }
        let length = source.count
        guard length > 0, let base = source.assumingMemoryBound(to: UInt8.self).baseAddress else { return nil }
        var tape: Tape?
        var isSame = false
        let text = [UInt8](unsafeUninitializedCapacity: length + Int(CMINIFY_SLACK)) { buffer, count in
            guard let bytes = buffer.baseAddress else { return }
            let end = cminify(base, length, bytes)
            // Negative where tokens would join; longer than the text where a string is open.
            guard end >= 0, end <= length else { return }
            (bytes + end).initialize(repeating: 0, count: Parser.padding)
            if let last, last.isUsable(for: end, depth: way.count, limits, costs) {
                isSame = way.isEmpty && last.count <= limits.maxNodes && last.isText(bytes, end)
                if !isSame { tape = last.compare(bytes, end: end, at: way, limits: limits, costs: costs) }
            } else {
                tape = Tape.parseMinified(bytes, end: end, limits: limits)
                tape?.plainVersions = max(0, (last?.plainVersions ?? 0) - 1)
            }
            count = tape?.textLength ?? 0
        }
        if isSame { return last }
        let storage = tape?.storage(text, sourceLength: length, limits: limits)
        return storage.flatMap { try? $0.get() }
    }

    /// Whether a text without whitespace is to be compared with this one.
    private func isUsable(for length: Int, depth: Int, _ limits: ParseLimits, _ costs: ComparisonCosts) -> Bool {
        guard depth <= limits.maxDepth, self.maxDepth <= limits.maxDepth - depth else { return false }
        if costs.isEndless { return true }
        return self.plainVersions == 0 && min(self.text.count, length) >= ComparisonCosts.shortestDocument
    }

    private func isText(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        guard count == self.text.count else { return false }
        return self.text.withUnsafeBufferPointer { text in
            text.baseAddress.map { bytesAreEqual($0, bytes, count: count) } ?? false
        }
    }

    /// Parses a text without whitespace by comparison with this one; nil where it has a fault.
    private func compare(
        _ bytes: UnsafeMutablePointer<UInt8>,
        end: Int,
        at way: [UInt64],
        limits: ParseLimits,
        costs: ComparisonCosts
    ) -> Tape? {
        self.text.withUnsafeBufferPointer { oldText in
            guard let oldText = oldText.baseAddress else { return nil }
            let parser = Parser(
                bytes: bytes,
                end: end,
                limits: limits,
                seed: .process,
                expectedNodes: self.count + self.count / 64 + 16
            )
            var comparison = Comparison(parser, with: self, oldText: oldText, at: way, costs: costs)
            defer { comparison.finish() }
            do throws(ParseError) {
                try comparison.document()
            } catch {
                comparison.parser.discard()
                return nil
            }
            var tape = Tape(comparison.parser, textLength: end)
            tape.plainVersions = comparison.wasLoss ? Self.pauseAfterLoss : 0
            return tape
        }
    }
}

/// What a parser leaves behind.
private struct Tape {
    let nodes: UnsafePointer<Node>
    let count: Int
    let textLength: Int
    let mayRepeatNames: Bool
    /// As the storage's.
    var plainVersions = 0

    /// Takes over the nodes of a parser that has read its text.
    init(_ parser: Parser, textLength: Int) {
        parser.finish()
        self.nodes = parser.exactNodes()
        self.count = parser.count
        self.textLength = textLength
        self.mayRepeatNames = parser.names.foundDuplicate
    }

    static func parse(
        _ bytes: UnsafeMutablePointer<UInt8>,
        end: Int,
        limits: ParseLimits
    ) -> Result<Tape, ParseError> {
        var parser = Parser(bytes: bytes, end: end, limits: limits, seed: .process)
        do throws(ParseError) {
            let textLength = try parser.document()
            return .success(Tape(parser, textLength: textLength))
        } catch {
            parser.discard()
            return .failure(error)
        }
    }

    /// Parses a text without whitespace; nil where it has a fault.
    static func parseMinified(_ bytes: UnsafeMutablePointer<UInt8>, end: Int, limits: ParseLimits) -> Tape? {
        var parser = Parser(bytes: bytes, end: end, limits: limits, seed: .process)
        do throws(ParseError) {
            try parser.minifiedDocument()
            return Tape(parser, textLength: end)
        } catch {
            parser.discard()
            return nil
        }
    }

    /// The document, with each name once per object.
    func storage(_ text: [UInt8], sourceLength: Int, limits: ParseLimits) -> Result<Storage, ParseError> {
        // Mostly indentation: do not keep a buffer of the input's size for as long as the document lives.
        let isWide = sourceLength - text.count > sourceLength / 4
        let storage = Storage(
            text: isWide ? text.withUnsafeBufferPointer { Array($0) } : text,
            nodes: self.nodes,
            count: self.count,
            maxDepth: limits.maxDepth,
            plainVersions: self.plainVersions
        )
        return self.mayRepeatNames ? storage.withoutRepeatedNames() : .success(storage)
    }
}

extension Parser {
    /// Frees everything, of a parser that failed.
    fileprivate func discard() {
        self.finish()
        self.nodes.deallocate()
    }

    /// The nodes in an allocation that is not much larger than they are; the parser's own is given up.
    fileprivate func exactNodes() -> UnsafePointer<Node> {
        guard self.capacity - self.count > self.capacity / 4 else { return UnsafePointer(self.nodes) }
        let nodes = UnsafeMutablePointer<Node>.allocate(capacity: max(self.count, 1))
        nodes.moveInitialize(from: self.nodes, count: self.count)
        self.nodes.deallocate()
        return UnsafePointer(nodes)
    }
}
