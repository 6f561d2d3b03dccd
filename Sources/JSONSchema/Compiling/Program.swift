// A compiled schema: flat tables without references, so that checking a value counts none.

import JSON

/// The place of a row in a table; negative for none.
typealias Row = Int32

/// Rows of a table that stand together.
struct Rows: Hashable, Sendable, BitwiseCopyable {
    var first: Row = 0
    var end: Row = 0

    var isEmpty: Bool { self.first == self.end }
    var count: Int { Int(self.end - self.first) }
    var indices: Range<Int> { Int(self.first)..<Int(self.end) }
}

/// One schema.
struct Rules: Sendable, BitwiseCopyable {
    /// The kinds that a value may have: bit `n` for the raw value `n` of `Value.Kind`, bit 7 for integers.
    var kinds: UInt8 = Rules.allKinds
    /// The schema `false`.
    var isNever = false
    /// It demands a kind and nothing else.
    var isPlain = true
    /// What is evaluated has to be remembered for `unevaluatedItems` or `unevaluatedProperties`.
    var tracks = false
    var number: Row = -1
    var string: Row = -1
    var array: Row = -1
    var object: Row = -1
    /// What applies to values of every kind, in `Program.steps`.
    var steps = Rows()
    var resource: Row = 0
    var place: Place

    static let allKinds: UInt8 = 0xFF
    static let integerBit: UInt8 = 0x80
}

/// What a schema demands of a value of any kind.
enum Step: Sendable, BitwiseCopyable {
    case reference(Row)
    /// `$dynamicRef`: the outermost resource in scope that has the name decides, else the schema given.
    case dynamicReference(Row, name: Row)
    case all(Rows)
    case any(Rows)
    case one(Rows)
    case not(Row)
    case condition(Row, then: Row, otherwise: Row)
    /// `enum` and `const`: hashes in order, in `Program.constants`.
    case constants(Rows, isSingle: Bool)
}

struct NumberRules: Sendable {
    var minimum: Row = -1
    var exclusiveMinimum: Row = -1
    var maximum: Row = -1
    var exclusiveMaximum: Row = -1
    var divisor: Row = -1
}

struct StringRules: Sendable {
    var minLength = 0
    var maxLength = Int.max
    var pattern: Row = -1
}

struct ArrayRules: Sendable, BitwiseCopyable {
    var minItems = 0
    var maxItems = Int.max
    var isUnique = false
    /// Of the first elements, in `Program.list`.
    var prefix = Rows()
    /// Of the elements behind those.
    var items: Row = -1
    var contains: Row = -1
    var minContains = 1
    var maxContains = Int.max
    /// Elements that `contains` finds count as evaluated (not in draft 7).
    var containsEvaluates = false
    var unevaluated: Row = -1
}

struct ObjectRules: Sendable, BitwiseCopyable {
    var minProperties = 0
    var maxProperties = Int.max
    /// A hash table of the names in `properties` and `required`, in `Program.slots`: a power of two of them, or none.
    var table = Rows()
    /// The names in `required`, in `Program.required`.
    var required = Rows()
    /// In `Program.patternProperties`.
    var patterns = Rows()
    var additional: Row = -1
    var names: Row = -1
    /// In `Program.dependencies`.
    var dependencies = Rows()
    var unevaluated: Row = -1
}

/// A name that a schema says something about.
struct NameSlot: Sendable, BitwiseCopyable {
    var hash: UInt64 = 0
    /// In `Program.names`; negative for an empty slot.
    var name: Row = -1
    /// Of the member of that name; negative where it is only required.
    var schema: Row = -1
    var isRequired = false
}

struct PatternRule: Sendable {
    var pattern: Row
    var schema: Row
}

/// What the presence of a member demands.
struct Dependency: Sendable {
    /// In `Program.names`.
    var name: Row
    /// In `Program.required`.
    var required = Rows()
    /// Of the whole object; negative for none.
    var schema: Row = -1
}

/// A value of `enum` or `const`.
struct Constant: Sendable {
    var hash: UInt64
    var value: Value
    /// Of a string: its content, among the names; negative for other values.
    var content: Row = -1
}

/// The tables while they are made.
struct ProgramTables: Sendable {
    var rules: [Rules] = []
    var steps: [Step] = []
    var numbers: [NumberRules] = []
    var strings: [StringRules] = []
    var arrays: [ArrayRules] = []
    var objects: [ObjectRules] = []
    var list: [Row] = []
    var slots: [NameSlot] = []
    var required: [Row] = []
    var patternRules: [PatternRule] = []
    var dependencies: [Dependency] = []
    var patterns: [Pattern] = []
    var names: [[UInt8]] = []
    var nameHashes: [UInt64] = []
    var constants: [Constant] = []
    /// Bounds and divisors as they are written.
    var numberValues: [Value] = []
    /// By name of a `$dynamicAnchor`: the schemas of that name by resource.
    var dynamicAnchors: [[Row: Row]] = []
}

/// The tables as they are used: an object, so that whoever checks holds one reference.
///
/// Unchecked sendability: all of it is written before `init` returns and never again. What is looked at for every value
/// stands in memory of its own, where nothing is counted or checked: rows come from the compiler alone.
final class Program: @unchecked Sendable {
    let rules: UnsafePointer<Rules>
    let arrays: UnsafePointer<ArrayRules>
    let objects: UnsafePointer<ObjectRules>
    let slots: UnsafePointer<NameSlot>
    let list: UnsafePointer<Row>
    let nameBytes: UnsafePointer<UInt8>
    let nameRanges: [Range<Int>]
    let steps: UnsafePointer<Step>
    let constantHashes: UnsafePointer<UInt64>
    let numbers: [NumberRules]
    let strings: [StringRules]
    let required: [Row]
    let patternRules: [PatternRule]
    let dependencies: [Dependency]
    let patterns: [Pattern]
    let nameHashes: [UInt64]
    let constants: [Constant]
    /// Bounds and divisors, and their text.
    let decimals: UnsafePointer<DecimalText>
    private let decimalText: UnsafePointer<UInt8>
    let dynamicAnchors: [[Row: Row]]

    init(_ tables: ProgramTables) {
        self.rules = Self.copy(tables.rules)
        self.arrays = Self.copy(tables.arrays)
        self.objects = Self.copy(tables.objects)
        self.slots = Self.copy(tables.slots)
        self.list = Self.copy(tables.list)
        self.nameBytes = Self.copy(tables.names.flatMap { $0 })
        var end = 0
        self.nameRanges = tables.names.map { name in
            end += name.count
            return (end - name.count)..<end
        }
        self.steps = Self.copy(tables.steps)
        self.constantHashes = Self.copy(tables.constants.map(\.hash))
        self.numbers = tables.numbers
        self.strings = tables.strings
        self.required = tables.required
        self.patternRules = tables.patternRules
        self.dependencies = tables.dependencies
        self.patterns = tables.patterns
        self.nameHashes = tables.nameHashes
        self.constants = tables.constants
        let text = Self.copy(tables.numberValues.flatMap { $0.text })
        var offset = 0
        self.decimals = Self.copy(
            tables.numberValues.map { value in
                offset += value.text.count
                return DecimalText(text + (offset - value.text.count), count: value.text.count)
            }
        )
        self.decimalText = text
        self.dynamicAnchors = tables.dynamicAnchors
    }

    deinit {
        self.rules.deallocate()
        self.arrays.deallocate()
        self.objects.deallocate()
        self.slots.deallocate()
        self.list.deallocate()
        self.decimals.deallocate()
        self.decimalText.deallocate()
        self.steps.deallocate()
        self.constantHashes.deallocate()
        self.nameBytes.deallocate()
    }

    /// Of values without references, so that there is nothing to release but the memory.
    private static func copy<Element>(_ table: [Element]) -> UnsafePointer<Element> {
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(table.count, 1))
        for (position, element) in table.enumerated() { (memory + position).initialize(to: element) }
        return UnsafePointer(memory)
    }

    /// A name, for a message.
    func name(_ row: Row) -> String {
        let range = self.nameRanges[Int(row)]
        return String(
            decoding: UnsafeBufferPointer(start: self.nameBytes + range.lowerBound, count: range.count),
            as: UTF8.self
        )
    }
}
