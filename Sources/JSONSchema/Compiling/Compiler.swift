// From the text of a schema to tables.

import JSON

/// Compiles the schemas that are reachable from one, without recursion: what a schema refers to waits in a queue.
struct Compiler {
    var library: Library
    var program = ProgramTables()
    private var rowOfPlace: [Place: Row] = [:]
    private var pending: [Row] = []
    private var patternRows: [String: Row] = [:]
    private var nameRows: [[UInt8]: Row] = [:]
    private var dynamicNames: [String: Row] = [:]

    init(library: Library) {
        self.library = library
    }

    /// Compiles the schema of `resource` into row 0.
    mutating func compile(_ resource: Int) throws(SchemaError) {
        _ = self.row(self.library.resources[resource].root, resource)
        var knownResources = 0
        repeat {
            while let row = self.pending.popLast() { try self.compile(row) }
            // Documents that were read meanwhile may hold anchors that a dynamic reference can reach.
            if knownResources < self.library.resources.count || !self.pending.isEmpty {
                knownResources = self.library.resources.count
                self.collectDynamicAnchors()
            }
        } while !self.pending.isEmpty
    }

    /// The row of the schema at `place`, which is compiled later where it is new.
    mutating func row(_ place: Place, _ resource: Int) -> Row {
        if let row = self.rowOfPlace[place] { return row }
        let row = Row(truncatingIfNeeded: self.program.rules.count)
        self.program.rules.append(Rules(resource: Row(truncatingIfNeeded: resource), place: place))
        self.rowOfPlace[place] = row
        self.pending.append(row)
        return row
    }

    /// The row of a subschema of `schema`.
    mutating func row(_ value: Value, in schema: SchemaText) throws(SchemaError) -> Row {
        guard value.kind == .object || value.bool != nil else {
            throw schema.error(self, value, "is not a schema: an object, true or false")
        }
        let place = Place(document: schema.place.document, position: value.place)
        return self.row(place, self.library.resourceOfSchema(place) ?? schema.resource)
    }

    private mutating func collectDynamicAnchors() {
        for (name, row) in self.dynamicNames {
            for (number, resource) in self.library.resources.enumerated() {
                guard let place = resource.dynamicAnchors[name] else { continue }
                let target = self.row(place, self.library.resourceOfSchema(place) ?? number)
                self.program.dynamicAnchors[Int(row)][Row(truncatingIfNeeded: number)] = target
            }
        }
    }

    private mutating func compile(_ row: Row) throws(SchemaError) {
        var rules = self.program.rules[Int(row)]
        guard let value = self.library.value(rules.place) else { return }
        let resource = Int(rules.resource)
        let dialect = self.library.resources[resource].dialect
        let schema = SchemaText(value: value, place: rules.place, resource: resource, dialect: dialect)
        if value.kind == .object {
            var steps: [Step] = []
            if dialect.version == .draft7, value["$ref"]?.kind == .string {
                try self.references(schema, &steps)
            } else {
                if dialect.asserts { try self.assertions(schema, &rules, &steps) }
                try self.containers(schema, &rules)
                try self.references(schema, &steps)
                try self.combinations(schema, &steps)
            }
            rules.steps = Self.append(steps, to: &self.program.steps)
        } else {
            rules.isNever = value.bool == false
        }
        rules.isPlain =
            !rules.isNever && rules.number < 0 && rules.string < 0 && rules.array < 0 && rules.object < 0
            && rules.steps.isEmpty
        self.program.rules[Int(row)] = rules
    }

    static func append<Element>(_ new: [Element], to table: inout [Element]) -> Rows {
        let first = Row(truncatingIfNeeded: table.count)
        table.append(contentsOf: new)
        return Rows(first: first, end: Row(truncatingIfNeeded: table.count))
    }

    static func append<Element>(_ new: Element, to table: inout [Element]) -> Row {
        table.append(new)
        return Row(truncatingIfNeeded: table.count - 1)
    }

    // MARK: References and combinations

    private mutating func references(_ schema: SchemaText, _ steps: inout [Step]) throws(SchemaError) {
        if let reference = schema.value["$ref"] {
            let target = try self.target(reference, schema)
            steps.append(.reference(self.row(target.place, target.resource)))
        }
        guard schema.dialect.version == .draft202012, let reference = schema.value["$dynamicRef"] else { return }
        let target = try self.target(reference, schema)
        let row = self.row(target.place, target.resource)
        let name = SchemaURI(reference.string ?? "").decodedFragment ?? ""
        // Dynamic only where the place it leads to has that very $dynamicAnchor (JSON Schema Core §8.2.3.2).
        guard let anchor = self.library.value(target.place)?["$dynamicAnchor"]?.string, anchor == name else {
            steps.append(.reference(row))
            return
        }
        if self.dynamicNames[name] == nil {
            self.dynamicNames[name] = Self.append([:], to: &self.program.dynamicAnchors)
            self.collectDynamicAnchors()
        }
        steps.append(.dynamicReference(row, name: self.dynamicNames[name] ?? -1))
    }

    private mutating func target(
        _ reference: Value,
        _ schema: SchemaText
    ) throws(SchemaError) -> (place: Place, resource: Int) {
        guard let text = reference.string else { throw schema.error(self, reference, "is not a string") }
        let place = Place(document: schema.place.document, position: reference.place)
        return try self.library.find(text, from: schema.resource, at: place)
    }

    private mutating func combinations(_ schema: SchemaText, _ steps: inout [Step]) throws(SchemaError) {
        if let rows = try self.rows("allOf", schema) { steps.append(.all(rows)) }
        if let rows = try self.rows("anyOf", schema) { steps.append(.any(rows)) }
        if let rows = try self.rows("oneOf", schema) { steps.append(.one(rows)) }
        if let value = schema.value["not"] { steps.append(.not(try self.row(value, in: schema))) }
        if let condition = schema.value["if"] {
            let then = try self.optionalRow("then", schema)
            let otherwise = try self.optionalRow("else", schema)
            steps.append(.condition(try self.row(condition, in: schema), then: then, otherwise: otherwise))
        }
    }

    /// The row of the subschema under `keyword`, negative if absent.
    mutating func optionalRow(_ keyword: String, _ schema: SchemaText) throws(SchemaError) -> Row {
        guard let value = schema.value[keyword] else { return -1 }
        return try self.row(value, in: schema)
    }

    /// The rows of the schemas in the array under `keyword`, one after the other in `Program.list`.
    mutating func rows(_ keyword: String, _ schema: SchemaText) throws(SchemaError) -> Rows? {
        guard let value = schema.value[keyword] else { return nil }
        guard value.kind == .array, value.count > 0 else {
            throw schema.error(self, value, "is not a list of schemas with at least one")
        }
        var rows: [Row] = []
        for element in value.elements { rows.append(try self.row(element, in: schema)) }
        return Self.append(rows, to: &self.program.list)
    }

    // MARK: Names and patterns

    mutating func name(_ utf8: [UInt8]) -> Row {
        if let row = self.nameRows[utf8] { return row }
        let row = Self.append(utf8, to: &self.program.names)
        self.program.nameHashes.append(documentHash(ofName: utf8))
        self.nameRows[utf8] = row
        return row
    }

    mutating func pattern(_ text: String, at value: Value, in schema: SchemaText) throws(SchemaError) -> Row {
        if let row = self.patternRows[text] { return row }
        do throws(PatternError) {
            let pattern = try Pattern(text, maxSize: self.library.limits.maxPatternSize)
            let row = Self.append(pattern, to: &self.program.patterns)
            self.patternRows[text] = row
            return row
        } catch {
            throw schema.error(self, value, "is no pattern: \(error.reason) at character \(error.offset)")
        }
    }
}

/// A schema that is being compiled.
struct SchemaText {
    let value: Value
    let place: Place
    let resource: Int
    let dialect: Dialect

    func error(_ compiler: Compiler, _ value: Value, _ reason: String) -> SchemaError {
        compiler.library.error(Place(document: self.place.document, position: value.place), reason)
    }
}
