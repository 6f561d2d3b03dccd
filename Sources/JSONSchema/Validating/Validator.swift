// Checks one document: first only whether it is valid, which is fast; then, where it is not, again for the reasons.

import JSON

/// One check. `apply` is the whole of it; the keywords of containers are in the other files.
struct Validator {
    let schema: Schema
    let program: Program
    let limits: SchemaLimits
    let document: Document
    let view: DocumentView
    var matcher: PatternMatcher
    private var depth = 0
    /// Whether findings are wanted; otherwise the first one ends the check.
    private(set) var isReporting = false
    private(set) var findings: [Finding] = []
    /// The resources that schemas being applied belong to, for `$dynamicRef`; kept only where there is one.
    private var scope: [Row] = []
    private let hasScope: Bool
    /// The children that were evaluated so far, of the values that are being evaluated, innermost last; −1 for all.
    var evaluated: [Int] = []

    init(schema: Schema, document: Document, view: DocumentView) {
        self.schema = schema
        self.program = schema.program
        self.limits = schema.limits
        self.document = document
        self.view = view
        let (steps, overflow) = document.nodeCount.multipliedReportingOverflow(by: schema.limits.maxStepsPerValue)
        let (sum, isTooMuch) = steps.addingReportingOverflow(schema.limits.maxSteps)
        self.matcher = PatternMatcher(steps: overflow || isTooMuch ? .max : sum)
        self.hasScope = !schema.program.dynamicAnchors.isEmpty
    }

    mutating func run() -> [Violation] {
        let steps = self.matcher.steps
        if self.apply(0, 0, collect: false), !self.isExhausted { return [] }
        if !self.isExhausted {
            self.isReporting = true
            self.matcher.steps = steps
            self.depth = 0
            self.scope = []
            self.evaluated = []
            _ = self.apply(0, 0, collect: false)
        }
        if self.isExhausted, self.findings.isEmpty {
            self.findings.append(
                Finding(
                    place: 0,
                    schema: Place(document: 0, position: 0),
                    keyword: "",
                    reason: self.isTooDeep
                        ? "needs more than \(self.limits.maxDepth) schemas inside one another"
                        : "takes more than \(steps) steps to check: the schema or one of its patterns is too costly"
                )
            )
        }
        return self.findings.map { self.schema.violation($0, in: self.document) }
    }

    // MARK: Bounds

    private var isTooDeep = false

    /// The check ended without a result.
    var isExhausted: Bool { self.matcher.steps < 0 || self.isTooDeep }

    /// Whether nothing more needs to be looked at once something was found.
    var isEnough: Bool {
        !self.isReporting || self.findings.count >= self.limits.maxViolations || self.isExhausted
    }

    // MARK: One schema on one value

    /// As `apply` for a child of the value that is being checked; at once where only its kind counts.
    @inline(__always)
    mutating func check(_ row: Row, _ place: Int) -> Bool {
        if self.program.rules[Int(row)].isPlain, self.program.rules[Int(row)].kinds >> self.view.rawKind(place) & 1 == 1
        {
            self.matcher.steps -= 1
            return true
        }
        return self.apply(row, place, collect: false)
    }

    /// Whether the value at `place` satisfies the schema in `row`. `collect`: what it evaluates is appended to
    /// `evaluated`; where the answer is false, nothing is.
    mutating func apply(_ row: Row, _ place: Int, collect: Bool) -> Bool {
        let rules = self.program.rules[Int(row)]
        self.matcher.steps -= 1
        guard self.matcher.steps >= 0 else { return false }
        let kind = self.view.rawKind(place)
        guard !rules.isNever, self.hasKind(rules.kinds, kind, place) else {
            guard self.isReporting else { return false }
            let reason = rules.isNever ? "is not allowed here" : self.kindReason(rules, place)
            return self.fail(rules, place, rules.isNever ? "" : "type", reason)
        }
        var isValid = true
        switch kind {
        case DocumentView.number:
            if rules.number >= 0, !self.checkNumber(rules, place) { isValid = false }
        case DocumentView.string:
            if rules.string >= 0, !self.checkString(rules, place) { isValid = false }
        case _: break
        }
        let isContainer = kind >= DocumentView.array
        let hasContents = isContainer && (kind == DocumentView.array ? rules.array : rules.object) >= 0
        guard hasContents || !rules.steps.isEmpty, isValid || !self.isEnough else { return isValid }

        guard self.depth < self.limits.maxDepth else {
            self.isTooDeep = true
            return false
        }
        self.depth += 1
        defer { self.depth -= 1 }
        let isNewScope = self.hasScope && self.scope.last != rules.resource
        if isNewScope { self.scope.append(rules.resource) }
        defer { if isNewScope { self.scope.removeLast() } }
        let mark = self.evaluated.count
        let collects = isContainer && (collect || rules.tracks)
        if hasContents {
            let isRight =
                kind == DocumentView.array
                ? self.checkArray(rules, place, collect: collects)
                : self.checkObject(rules, place, collect: collects)
            isValid = isValid && isRight
        }
        if isValid || !self.isEnough, !rules.steps.isEmpty {
            isValid = self.checkSteps(rules, place, collect: collects) && isValid
        }
        if rules.tracks, hasContents, isValid || !self.isEnough {
            isValid = self.checkUnevaluated(rules, place, since: mark) && isValid
        }
        if !isValid || !collect, self.evaluated.count > mark { self.evaluated.removeLast(self.evaluated.count - mark) }
        return isValid
    }

    @inline(__always)
    private func hasKind(_ kinds: UInt8, _ kind: UInt8, _ place: Int) -> Bool {
        if kinds >> kind & 1 == 1 { return true }
        return kind == DocumentView.number && kinds & Rules.integerBit != 0
            && self.view.decimal(place).isInteger
    }

    /// Takes note of a violation, where that is wanted.
    ///
    /// - Returns: false.
    mutating func fail(
        _ rules: Rules,
        _ place: Int,
        _ keyword: @autoclosure () -> String,
        _ reason: @autoclosure () -> String
    ) -> Bool {
        if self.isReporting, self.findings.count < self.limits.maxViolations {
            self.findings.append(
                Finding(place: place, schema: rules.place, keyword: keyword(), reason: reason())
            )
        }
        return false
    }

    // MARK: What applies to values of every kind

    private mutating func checkSteps(_ rules: Rules, _ place: Int, collect: Bool) -> Bool {
        var isValid = true
        for index in rules.steps.indices {
            let isRight: Bool
            switch self.program.steps[index] {
            case .reference(let row): isRight = self.apply(row, place, collect: collect)
            case .dynamicReference(let row, let name):
                isRight = self.apply(self.dynamicTarget(name) ?? row, place, collect: collect)
            case .all(let rows): isRight = self.applyAll(rows, place, collect: collect)
            case .any(let rows): isRight = self.checkAny(rules, rows, place, collect: collect)
            case .one(let rows): isRight = self.checkOne(rules, rows, place, collect: collect)
            case .not(let row):
                isRight =
                    !self.silently { $0.apply(row, place, collect: false) }
                    || self.fail(rules, place, "not", "is what the schema excludes")
            case .condition(let condition, let then, let otherwise):
                let row = self.silently { $0.apply(condition, place, collect: collect) } ? then : otherwise
                isRight = row < 0 || self.apply(row, place, collect: collect)
            case .constants(let rows, let isSingle):
                isRight =
                    self.isConstant(rows, place)
                    || self.fail(
                        rules,
                        place,
                        isSingle ? "const" : "enum",
                        isSingle ? "is not the one value allowed" : "is none of the \(rows.count) values allowed"
                    )
            }
            if !isRight {
                isValid = false
                if self.isEnough { return false }
            }
        }
        return isValid
    }

    private mutating func applyAll(_ rows: Rows, _ place: Int, collect: Bool) -> Bool {
        var isValid = true
        for index in rows.indices where !self.apply(self.program.list[index], place, collect: collect) {
            isValid = false
            if self.isEnough { return false }
        }
        return isValid
    }

    private mutating func checkAny(_ rules: Rules, _ rows: Rows, _ place: Int, collect: Bool) -> Bool {
        var isValid = false
        for index in rows.indices {
            let row = self.program.list[index]
            guard self.silently({ $0.apply(row, place, collect: collect) }) else { continue }
            isValid = true
            // Every branch that matches evaluates something.
            if !collect { return true }
        }
        return isValid || self.failNearest(rules, rows, place, "anyOf")
    }

    private mutating func checkOne(_ rules: Rules, _ rows: Rows, _ place: Int, collect: Bool) -> Bool {
        var found = 0
        let mark = self.evaluated.count
        for index in rows.indices {
            let row = self.program.list[index]
            if self.silently({ $0.apply(row, place, collect: collect) }) { found += 1 }
            guard found < 2 else {
                self.evaluated.removeLast(self.evaluated.count - mark)
                return self.fail(rules, place, "oneOf", "matches more than one of the \(rows.count) alternatives")
            }
        }
        return found == 1 || self.failNearest(rules, rows, place, "oneOf")
    }

    /// None of several alternatives matched: tells the finding that lies deepest in the value, which is most likely
    /// about the alternative that was meant.
    private mutating func failNearest(_ rules: Rules, _ rows: Rows, _ place: Int, _ keyword: String) -> Bool {
        guard self.isReporting, !self.isEnough else { return false }
        let before = self.findings
        var best: (finding: Finding, depth: Int)?
        for index in rows.indices {
            self.findings = []
            _ = self.apply(self.program.list[index], place, collect: false)
            guard let finding = self.findings.max(by: { $0.place < $1.place }) else { continue }
            let depth = self.document.pointer(to: finding.place).tokens.count
            if depth > best?.depth ?? -1 { best = (finding, depth) }
        }
        self.findings = before
        if let finding = best?.finding, finding.place != place { self.findings.append(finding) }
        return self.fail(rules, place, keyword, "matches none of the \(rows.count) alternatives")
    }

    /// Runs `body` without findings.
    mutating func silently(_ body: (inout Validator) -> Bool) -> Bool {
        let wasReporting = self.isReporting
        self.isReporting = false
        defer { self.isReporting = wasReporting }
        return body(&self)
    }

    private func dynamicTarget(_ name: Row) -> Row? {
        let anchors = self.program.dynamicAnchors[Int(name)]
        for resource in self.scope {
            if let row = anchors[resource] { return row }
        }
        return nil
    }

    private func isConstant(_ rows: Rows, _ place: Int) -> Bool {
        let hash = self.view.hash(place)
        var (first, end) = (Int(rows.first), Int(rows.end))
        while first < end {
            let middle = (first + end) / 2
            if self.program.constantHashes[middle] < hash { first = middle + 1 } else { end = middle }
        }
        while first < Int(rows.end), self.program.constantHashes[first] == hash {
            let content = self.program.constants[first].content
            let isEqual =
                content >= 0 && self.view.rawKind(place) == DocumentView.string
                ? self.isName(place, content)
                : self.program.constants[first].value == self.document.value(place: place)
            if isEqual { return true }
            first += 1
        }
        return false
    }
}
