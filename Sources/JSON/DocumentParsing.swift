// Ways to parse one document: without its whitespace and by comparison with the last version, or plainly.

import CMinify

extension Storage {
    /// How many versions are parsed without a comparison after one that did not pay.
    private static let pauseAfterLoss = 15

    /// Parses a text.
    ///
    /// The whitespace goes first; what is left is compared with `last`, if there is one, which is an earlier version of the
    /// value that names with the hashes `way` lead to. Where either finds a fault, the plain parser reads the text as it
    /// came: what it says counts. `body` is the array that `source` is, if it is one: where nothing is removed from it, it
    /// becomes the document's text.
    static func parse(
        _ source: UnsafeRawBufferPointer,
        of body: [UInt8]? = nil,
        after last: Storage? = nil,
        at way: [UInt64] = [],
        limits: ParseLimits,
        costs: ComparisonCosts = ComparisonCosts()
    ) -> Result<Storage, ParseError> {
        let storage = self.parseMinified(source, body, after: last, at: way, limits: limits.clamped, costs: costs)
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
            result = Workspace.with { Tape.parse(bytes, end: length, limits: limits, in: $0) }
            if case .success(let tape) = result { count = tape.textLength }
        }
        return result.flatMap { $0.storage(text, limits: limits) }
    }

    /// The limits are clamped already.
    ///
    /// - Returns: nil where the text has a fault, or exceeds the limits.
    private static func parseMinified(
        _ source: UnsafeRawBufferPointer,
        _ body: [UInt8]?,
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
        let room = length + Int(CMINIFY_SLACK)

        /// Reads the text in a room of that size; nil where it has a fault.
        func read(_ bytes: UnsafeMutablePointer<UInt8>, in workspace: Workspace) -> Reading? {
            let end = cminify(base, length, bytes)
            // Negative where tokens would join; longer than the text where a string is open.
            guard end >= 0, end <= length else { return nil }
            (bytes + end).initialize(repeating: 0, count: Parser.padding)
            // Of an object and an array nothing is the same. The way to a part begins in an object.
            let last = last.flatMap { way.isEmpty && !$0.hasRoot(of: bytes[0]) ? nil : $0 }
            guard let last, last.isUsable(for: end, depth: way.count, limits, costs) else {
                var tape = Tape.parseMinified(
                    bytes,
                    end: end,
                    limits: limits,
                    in: workspace,
                    expectedNodes: last?.expectedNodes ?? Parser.firstCapacity
                )
                tape?.plainVersions = max(0, (last?.plainVersions ?? 0) - 1)
                return tape.map { .new($0) }
            }
            return last.compare(bytes, end: end, at: way, limits: limits, costs: costs, in: workspace)
        }

        return Workspace.with { workspace in
            guard length > Workspace.maxTextBytes else {
                guard let bytes = workspace.text(room), let reading = read(bytes, in: workspace) else { return nil }
                return reading.storage(limits) { tape in
                    tape.text(from: body) ?? Array(UnsafeBufferPointer(start: bytes, count: tape.textLength))
                }
            }
            // Too long for the kept room: it is read into the array that becomes the text.
            var reading: Reading?
            let text = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
                reading = buffer.baseAddress.flatMap { read($0, in: workspace) }
                if case .new(let tape)? = reading { count = tape.textLength }
            }
            return reading?.storage(limits) { $0.text(from: body) ?? text }
        }
    }

    /// Whether a text without whitespace is to be compared with this one.
    private func isUsable(for length: Int, depth: Int, _ limits: ParseLimits, _ costs: ComparisonCosts) -> Bool {
        guard depth <= limits.maxDepth, self.maxDepth <= limits.maxDepth - depth else { return false }
        if costs.isEndless { return true }
        return self.plainVersions == 0 && min(self.text.count, length) >= ComparisonCosts.shortestDocument
    }

    /// Whether a text that begins with this byte may be of the same kind.
    private func hasRoot(of byte: UInt8) -> Bool {
        switch self.nodes[0].kind {
        case .object: byte == UInt8(ascii: "{")
        case .array: byte == UInt8(ascii: "[")
        case .null, .false, .true, .number, .string: true
        }
    }

    /// How many nodes the next version may have. What is too many stays with it: of a small document little is.
    private var expectedNodes: Int { self.count + self.count / 64 + 4 }

    /// Parses a text without whitespace by comparison with this one; nil where it has a fault.
    private func compare(
        _ bytes: UnsafeMutablePointer<UInt8>,
        end: Int,
        at way: [UInt64],
        limits: ParseLimits,
        costs: ComparisonCosts,
        in workspace: Workspace
    ) -> Reading? {
        self.text.withUnsafeBufferPointer { text in
            guard let oldText = text.baseAddress else { return nil }
            // A part of the text does not begin where this one does.
            let common = way.isEmpty ? equalCount(bytes, oldText, limit: min(end, text.count)) : 0
            if common == end, common == text.count, self.count <= limits.maxNodes { return .same(self) }
            let parser = Parser(
                bytes: bytes,
                end: end,
                limits: limits,
                seed: .process,
                in: workspace,
                expectedNodes: self.expectedNodes
            )
            var comparison = Comparison(parser, with: self, oldText: oldText, common: common, at: way, costs: costs)
            defer { comparison.finish() }
            do throws(ParseError) {
                try comparison.document()
            } catch {
                comparison.parser.discard()
                return nil
            }
            var tape = Tape(comparison.parser, textLength: end)
            tape.plainVersions = comparison.wasLoss ? Self.pauseAfterLoss : 0
            return .new(tape)
        }
    }
}

/// What a text without whitespace turned out to be.
private enum Reading {
    /// The text of the last version, byte for byte.
    case same(Storage)
    case new(Tape)

    /// The document, where a new one has the text that is asked for; nil where a name is written twice in a way that the
    /// limits do not allow.
    func storage(_ limits: ParseLimits, text: (Tape) -> [UInt8]) -> Storage? {
        switch self {
        case .same(let storage): storage
        case .new(let tape): try? tape.storage(text(tape), limits: limits).get()
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
        limits: ParseLimits,
        in workspace: Workspace
    ) -> Result<Tape, ParseError> {
        var parser = Parser(bytes: bytes, end: end, limits: limits, seed: .process, in: workspace)
        do throws(ParseError) {
            let textLength = try parser.document()
            return .success(Tape(parser, textLength: textLength))
        } catch {
            parser.discard()
            return .failure(error)
        }
    }

    /// Parses a text without whitespace; nil where it has a fault.
    static func parseMinified(
        _ bytes: UnsafeMutablePointer<UInt8>,
        end: Int,
        limits: ParseLimits,
        in workspace: Workspace,
        expectedNodes: Int
    ) -> Tape? {
        var parser = Parser(
            bytes: bytes,
            end: end,
            limits: limits,
            seed: .process,
            in: workspace,
            expectedNodes: expectedNodes
        )
        do throws(ParseError) {
            try parser.minifiedDocument()
            return Tape(parser, textLength: end)
        } catch {
            parser.discard()
            return nil
        }
    }

    /// The body itself, where nothing was removed from it; nil where the text is another one, or the body has much room
    /// behind its end, which it would keep for as long as the document lives.
    func text(from body: [UInt8]?) -> [UInt8]? {
        body.flatMap { $0.count == self.textLength && !Self.isWide($0) ? $0 : nil }
    }

    private static func isWide(_ text: [UInt8]) -> Bool { text.capacity - text.count > text.capacity / 4 + 64 }

    /// The document, with each name once per object.
    func storage(_ text: [UInt8], limits: ParseLimits) -> Result<Storage, ParseError> {
        // Mostly indentation: do not keep a buffer of the input's size for as long as the document lives.
        let storage = Storage(
            text: Self.isWide(text) ? text.withUnsafeBufferPointer { Array($0) } : text,
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
