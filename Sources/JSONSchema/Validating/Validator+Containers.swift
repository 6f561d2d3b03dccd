// Arrays and objects, and what nothing has evaluated in them.

import JSON

extension Validator {
    // MARK: Arrays

    mutating func checkArray(_ rules: Rules, _ place: Int, collect: Bool) -> Bool {
        let row = self.program.arrays[Int(rules.array)]
        var isValid = true
        let count = self.view.count(place)
        if count < row.minItems {
            isValid = self.fail(rules, place, "minItems", "has fewer than \(row.minItems) elements")
        }
        if count > row.maxItems {
            isValid = self.fail(rules, place, "maxItems", "has more than \(row.maxItems) elements")
        }
        guard isValid || !self.isEnough else { return false }
        if row.isUnique {
            self.matcher.steps -= count
            if self.view.mayHaveEqualElements(place), self.document.value(place: place)?.hasEqualElements == true {
                isValid = self.fail(rules, place, "uniqueItems", "has two equal elements")
                if self.isEnough { return false }
            }
        }
        if row.items >= 0 || !row.prefix.isEmpty {
            isValid = self.checkElements(row, place, collect: collect) && isValid
            guard isValid || !self.isEnough else { return false }
        }
        if row.contains >= 0, !self.checkContains(rules, row, place, collect: collect) { isValid = false }
        return isValid
    }

    private mutating func checkElements(_ row: ArrayRules, _ place: Int, collect: Bool) -> Bool {
        var isValid = true
        var element = place + 1
        let end = self.view.end(place)
        var index = row.prefix.first
        while element < end {
            let schema = index < row.prefix.end ? self.program.list[Int(index)] : row.items
            guard schema >= 0 else { break }
            if !self.check(schema, element) {
                isValid = false
                if self.isEnough { return false }
            }
            if collect, row.items < 0 { self.evaluated.append(element) }
            element = self.view.end(element)
            if index < row.prefix.end { index += 1 }
        }
        if collect, row.items >= 0 { self.evaluated.append(-1) }
        return isValid
    }

    private mutating func checkContains(_ rules: Rules, _ row: ArrayRules, _ place: Int, collect: Bool) -> Bool {
        var found = 0
        var element = place + 1
        let end = self.view.end(place)
        let collects = collect && row.containsEvaluates
        while element < end {
            let current = element
            if self.silently({ $0.apply(row.contains, current, collect: false) }) {
                found += 1
                if collects { self.evaluated.append(current) }
                if found > row.maxContains || (!collects && row.maxContains == .max && found >= row.minContains) {
                    break
                }
            }
            element = self.view.end(element)
        }
        if found < row.minContains {
            let keyword = row.minContains == 1 ? "contains" : "minContains"
            return self.fail(
                rules,
                place,
                keyword,
                "has fewer than \(row.minContains) elements that `contains` asks for"
            )
        }
        guard found <= row.maxContains else {
            return self.fail(
                rules,
                place,
                "maxContains",
                "has more than \(row.maxContains) elements that `contains` asks for"
            )
        }
        return true
    }

    // MARK: Objects

    mutating func checkObject(_ rules: Rules, _ place: Int, collect: Bool) -> Bool {
        let row = self.program.objects[Int(rules.object)]
        var isValid = true
        let count = self.view.count(place)
        if count < row.minProperties {
            isValid = self.fail(rules, place, "minProperties", "has fewer than \(row.minProperties) members")
        }
        if count > row.maxProperties {
            isValid = self.fail(rules, place, "maxProperties", "has more than \(row.maxProperties) members")
        }
        guard isValid || !self.isEnough else { return false }
        if !self.checkMembers(rules, row, place, collect: collect) {
            isValid = false
            if self.isEnough { return false }
        }
        guard !row.dependencies.isEmpty else { return isValid }
        return self.checkDependencies(rules, row, place, collect: collect) && isValid
    }

    private mutating func checkMembers(_ rules: Rules, _ row: ObjectRules, _ place: Int, collect: Bool) -> Bool {
        var isValid = true
        var required = 0
        var name = place + 1
        let end = self.view.end(place)
        while name < end {
            let value = name + 1
            var isKnown = false
            if let slot = self.slot(row.table, name) {
                required += slot.isRequired ? 1 : 0
                if slot.schema >= 0 {
                    isKnown = true
                    if !self.check(slot.schema, value) { isValid = false }
                }
            }
            if !row.patterns.isEmpty, !self.checkPatterns(row, name, &isKnown) { isValid = false }
            if row.additional >= 0, !isKnown {
                isKnown = true
                if !self.check(row.additional, value) { isValid = false }
            }
            if row.names >= 0, !self.apply(row.names, name, collect: false) { isValid = false }
            if collect, isKnown { self.evaluated.append(value) }
            if !isValid, self.isEnough { return false }
            name = self.view.end(value)
        }
        guard required < row.required.count else { return isValid }
        guard self.isReporting else { return false }
        for index in row.required.indices {
            let missing = self.program.required[index]
            guard self.member(missing, of: place) == nil else { continue }
            let name = self.quoted(missing)
            isValid = self.fail(rules, place, "required", "has no member \(name)")
        }
        return isValid
    }

    private mutating func checkPatterns(_ row: ObjectRules, _ name: Int, _ isKnown: inout Bool) -> Bool {
        var isValid = true
        for index in row.patterns.indices {
            let rule = self.program.patternRules[index]
            guard self.matches(rule.pattern, name) else { continue }
            isKnown = true
            if !self.apply(rule.schema, name + 1, collect: false) { isValid = false }
        }
        return isValid
    }

    private mutating func checkDependencies(
        _ rules: Rules,
        _ row: ObjectRules,
        _ place: Int,
        collect: Bool
    ) -> Bool {
        var isValid = true
        for index in row.dependencies.indices {
            let dependency = self.program.dependencies[index]
            guard self.member(dependency.name, of: place) != nil else { continue }
            for required in dependency.required.indices {
                let name = self.program.required[required]
                guard self.member(name, of: place) == nil else { continue }
                let names = self.isReporting ? [self.quoted(dependency.name), self.quoted(name)] : ["", ""]
                let reason = "has a member \(names[0]), but none \(names[1])"
                isValid = self.fail(rules, place, "dependentRequired", reason)
            }
            if dependency.schema >= 0, !self.apply(dependency.schema, place, collect: collect) { isValid = false }
            if !isValid, self.isEnough { return false }
        }
        return isValid
    }

    /// What the schema says about the name at `place`.
    private func slot(_ table: Rows, _ place: Int) -> NameSlot? {
        guard !table.isEmpty else { return nil }
        let hash = self.view.hash(place)
        let mask = table.count - 1
        var position = Int(truncatingIfNeeded: hash) & mask
        while true {
            let slot = self.program.slots[Int(table.first) + position]
            guard slot.name >= 0 else { return nil }
            if slot.hash == hash, self.isName(place, slot.name) { return slot }
            position = (position + 1) & mask
        }
    }

    /// The place of the member's name; nil where the object has none. Linear, and counted.
    private mutating func member(_ name: Row, of object: Int) -> Int? {
        let hash = self.program.nameHashes[Int(name)]
        var place = object + 1
        let end = self.view.end(object)
        self.matcher.steps -= self.view.count(object)
        while place < end {
            if self.view.hash(place) == hash, self.isName(place, name) { return place }
            place = self.view.end(place + 1)
        }
        return nil
    }

    private func quoted(_ name: Row) -> String {
        "\"\(Library.short(self.program.name(name)))\""
    }

    // MARK: What nothing has evaluated

    /// Applies `unevaluatedItems` or `unevaluatedProperties` to the children that are not in `evaluated` behind `mark`.
    mutating func checkUnevaluated(_ rules: Rules, _ place: Int, since mark: Int) -> Bool {
        let isArray = self.view.rawKind(place) == DocumentView.array
        let schema =
            isArray
            ? self.program.arrays[Int(rules.array)].unevaluated
            : self.program.objects[Int(rules.object)].unevaluated
        guard schema >= 0 else { return true }
        let known = self.evaluated[mark...].sorted()
        // −1 stands for all.
        guard known.first != -1 else { return true }
        var isValid = true
        var next = known.startIndex
        var child = isArray ? place + 1 : place + 2
        let end = self.view.end(place)
        while child < end {
            while next < known.endIndex, known[next] < child { next += 1 }
            let isKnown = next < known.endIndex && known[next] == child
            if !isKnown, !self.apply(schema, child, collect: false) {
                isValid = false
                if self.isEnough { return false }
            }
            child = self.view.end(child) + (isArray ? 0 : 1)
        }
        self.evaluated.append(-1)
        return isValid
    }
}
