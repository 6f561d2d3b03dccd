// The keywords that say something about one kind of value.

import JSON

extension Compiler {
    // MARK: Assertions

    mutating func assertions(_ schema: SchemaText, _ rules: inout Rules, _ steps: inout [Step]) throws(SchemaError) {
        if let type = schema.value["type"] { rules.kinds = try self.kinds(type, schema) }
        try self.numberRules(schema, &rules)
        try self.stringRules(schema, &rules)
        if let constant = schema.value["const"] {
            let rows = Self.append([self.constant(constant)], to: &self.program.constants)
            steps.append(.constants(rows, isSingle: true))
        }
        guard let list = schema.value["enum"] else { return }
        guard list.kind == .array else { throw schema.error(self, list, "is not a list of values") }
        var constants: [Constant] = []
        for element in list.elements { constants.append(self.constant(element)) }
        constants.sort { $0.hash < $1.hash }
        steps.append(.constants(Self.append(constants, to: &self.program.constants), isSingle: false))
    }

    private mutating func constant(_ value: Value) -> Constant {
        Constant(hash: value.hash, value: value, content: value.utf8.map { self.name($0) } ?? -1)
    }

    private func kinds(_ type: Value, _ schema: SchemaText) throws(SchemaError) -> UInt8 {
        var kinds: UInt8 = 0
        for name in type.kind == .array ? Array(type.elements) : [type] {
            switch name.string {
            case "null": kinds |= 1 << Value.Kind.null.rawValue
            case "boolean": kinds |= 1 << Value.Kind.false.rawValue | 1 << Value.Kind.true.rawValue
            case "number": kinds |= 1 << Value.Kind.number.rawValue | Rules.integerBit
            case "integer": kinds |= Rules.integerBit
            case "string": kinds |= 1 << Value.Kind.string.rawValue
            case "array": kinds |= 1 << Value.Kind.array.rawValue
            case "object": kinds |= 1 << Value.Kind.object.rawValue
            case _:
                throw schema.error(
                    self,
                    name,
                    "is not a type: null, boolean, integer, number, string, array or object"
                )
            }
        }
        return kinds
    }

    private mutating func numberRules(_ schema: SchemaText, _ rules: inout Rules) throws(SchemaError) {
        var new = NumberRules()
        new.minimum = try self.number("minimum", schema)
        new.exclusiveMinimum = try self.number("exclusiveMinimum", schema)
        new.maximum = try self.number("maximum", schema)
        new.exclusiveMaximum = try self.number("exclusiveMaximum", schema)
        new.divisor = try self.number("multipleOf", schema)
        if let divisor = schema.value["multipleOf"] {
            guard divisor.isDivisor else {
                throw schema.error(
                    self,
                    divisor,
                    "is not a number above 0 of at most \(DecimalText.divisorDigits) significant digits"
                )
            }
        }
        let found = [new.minimum, new.exclusiveMinimum, new.maximum, new.exclusiveMaximum, new.divisor]
        if found.contains(where: { $0 >= 0 }) { rules.number = Self.append(new, to: &self.program.numbers) }
    }

    private mutating func number(_ keyword: String, _ schema: SchemaText) throws(SchemaError) -> Row {
        guard let value = schema.value[keyword] else { return -1 }
        guard value.kind == .number else { throw schema.error(self, value, "is not a number") }
        return Self.append(value, to: &self.program.numberValues)
    }

    private mutating func stringRules(_ schema: SchemaText, _ rules: inout Rules) throws(SchemaError) {
        var new = StringRules()
        if let count = try self.count("minLength", schema) { new.minLength = count }
        if let count = try self.count("maxLength", schema) { new.maxLength = count }
        if let value = schema.value["pattern"] {
            guard let text = value.string else { throw schema.error(self, value, "is not a string") }
            new.pattern = try self.pattern(text, at: value, in: schema)
        }
        if new.minLength > 0 || new.maxLength < .max || new.pattern >= 0 {
            rules.string = Self.append(new, to: &self.program.strings)
        }
    }

    /// A number of characters, elements or members; nil where the keyword is not there.
    private func count(_ keyword: String, _ schema: SchemaText) throws(SchemaError) -> Int? {
        guard let value = schema.value[keyword] else { return nil }
        guard value.isCount else { throw schema.error(self, value, "is not a whole number from 0 on") }
        // What does not fit is more than any document has.
        return value.int ?? Int.max
    }

    // MARK: Containers

    mutating func containers(_ schema: SchemaText, _ rules: inout Rules) throws(SchemaError) {
        try self.arrayRules(schema, &rules)
        try self.objectRules(schema, &rules)
    }

    private mutating func arrayRules(_ schema: SchemaText, _ rules: inout Rules) throws(SchemaError) {
        var new = ArrayRules()
        var isUsed = false
        if schema.dialect.asserts {
            if let count = try self.count("minItems", schema) { new.minItems = count }
            if let count = try self.count("maxItems", schema) { new.maxItems = count }
            new.isUnique = schema.value["uniqueItems"]?.bool ?? false
            isUsed = new.minItems > 0 || new.maxItems < .max || new.isUnique
        }
        if schema.dialect.version == .draft7 {
            if let items = schema.value["items"], items.kind == .array {
                var rows: [Row] = []
                for element in items.elements { rows.append(try self.row(element, in: schema)) }
                new.prefix = Self.append(rows, to: &self.program.list)
                new.items = try self.optionalRow("additionalItems", schema)
            } else {
                new.items = try self.optionalRow("items", schema)
            }
        } else {
            if let rows = try self.rows("prefixItems", schema) { new.prefix = rows }
            new.items = try self.optionalRow("items", schema)
            new.unevaluated = try self.optionalRow("unevaluatedItems", schema)
            new.containsEvaluates = true
        }
        new.contains = try self.optionalRow("contains", schema)
        if schema.dialect.version == .draft202012, schema.dialect.asserts {
            if let count = try self.count("minContains", schema) { new.minContains = count }
            if let count = try self.count("maxContains", schema) { new.maxContains = count }
        }
        isUsed = isUsed || !new.prefix.isEmpty || new.items >= 0 || new.contains >= 0 || new.unevaluated >= 0
        if new.unevaluated >= 0 { rules.tracks = true }
        if isUsed { rules.array = Self.append(new, to: &self.program.arrays) }
    }

    private mutating func objectRules(_ schema: SchemaText, _ rules: inout Rules) throws(SchemaError) {
        var new = ObjectRules()
        var isUsed = false
        var required: [Row] = []
        if schema.dialect.asserts {
            if let count = try self.count("minProperties", schema) { new.minProperties = count }
            if let count = try self.count("maxProperties", schema) { new.maxProperties = count }
            if let list = schema.value["required"] { required = try self.nameRows(list, schema) }
            isUsed = new.minProperties > 0 || new.maxProperties < .max || !required.isEmpty
        }
        new.required = Self.append(required, to: &self.program.required)
        new.table = try self.table(required: required, schema)
        new.patterns = try self.patternProperties(schema)
        new.additional = try self.optionalRow("additionalProperties", schema)
        new.names = try self.optionalRow("propertyNames", schema)
        new.dependencies = try self.dependencies(schema)
        if schema.dialect.version == .draft202012 {
            new.unevaluated = try self.optionalRow("unevaluatedProperties", schema)
        }
        isUsed =
            isUsed || !new.table.isEmpty || !new.patterns.isEmpty || new.additional >= 0 || new.names >= 0
            || !new.dependencies.isEmpty || new.unevaluated >= 0
        if new.unevaluated >= 0 { rules.tracks = true }
        if isUsed { rules.object = Self.append(new, to: &self.program.objects) }
    }

    private mutating func nameRows(_ list: Value, _ schema: SchemaText) throws(SchemaError) -> [Row] {
        guard list.kind == .array else { throw schema.error(self, list, "is not a list of member names") }
        var rows: [Row] = []
        var seen: Set<Row> = []
        for element in list.elements {
            guard let name = element.utf8 else { throw schema.error(self, element, "is not a member name") }
            let row = self.name(name)
            if seen.insert(row).inserted { rows.append(row) }
        }
        return rows
    }

    /// The hash table of `properties` and `required`, at most half full.
    private mutating func table(required: [Row], _ schema: SchemaText) throws(SchemaError) -> Rows {
        var entries: [NameSlot] = []
        var positions: [Row: Int] = [:]
        if let properties = schema.value["properties"] {
            guard properties.kind == .object else {
                throw schema.error(self, properties, "is not an object of schemas")
            }
            for member in properties.members {
                let name = self.name(member.key.utf8 ?? [])
                positions[name] = entries.count
                let slot = NameSlot(
                    hash: self.program.nameHashes[Int(name)],
                    name: name,
                    schema: try self.row(member.value, in: schema)
                )
                entries.append(slot)
            }
        }
        for name in required {
            if let position = positions[name] {
                entries[position].isRequired = true
            } else {
                entries.append(NameSlot(hash: self.program.nameHashes[Int(name)], name: name, isRequired: true))
            }
        }
        guard !entries.isEmpty else { return Rows() }
        var size = 2
        while size < entries.count * 2 { size *= 2 }
        var slots = [NameSlot](repeating: NameSlot(), count: size)
        for entry in entries {
            var slot = Int(truncatingIfNeeded: entry.hash) & (size - 1)
            while slots[slot].name >= 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = entry
        }
        return Self.append(slots, to: &self.program.slots)
    }

    private mutating func patternProperties(_ schema: SchemaText) throws(SchemaError) -> Rows {
        guard let value = schema.value["patternProperties"] else { return Rows() }
        guard value.kind == .object else { throw schema.error(self, value, "is not an object of schemas") }
        var rows: [PatternRule] = []
        for member in value.members {
            let pattern = try self.pattern(member.name, at: member.value, in: schema)
            rows.append(PatternRule(pattern: pattern, schema: try self.row(member.value, in: schema)))
        }
        return Self.append(rows, to: &self.program.patternRules)
    }

    private mutating func dependencies(_ schema: SchemaText) throws(SchemaError) -> Rows {
        // 2020-12 split the old keyword in two and lets it stand for compatibility.
        let isOld = schema.dialect.version == .draft7
        let keywords = ["dependencies"] + (isOld ? [] : ["dependentRequired", "dependentSchemas"])
        var rows: [Dependency] = []
        for keyword in keywords {
            guard let value = schema.value[keyword] else { continue }
            guard value.kind == .object else { throw schema.error(self, value, "is not an object") }
            for member in value.members {
                let isList = member.value.kind == .array && keyword != "dependentSchemas"
                guard isList || keyword != "dependentRequired" else {
                    throw schema.error(self, member.value, "is not a list of member names")
                }
                var row = Dependency(name: self.name(member.key.utf8 ?? []))
                if isList {
                    guard schema.dialect.asserts else { continue }
                    row.required = Self.append(try self.nameRows(member.value, schema), to: &self.program.required)
                } else {
                    row.schema = try self.row(member.value, in: schema)
                }
                rows.append(row)
            }
        }
        return Self.append(rows, to: &self.program.dependencies)
    }
}
