// Inputs for the fuzz targets: a few texts to begin with, and changes of them that know the parts such texts are made of.

package import System

extension FuzzTarget {
    /// Inputs to begin with.
    package var seeds: [[UInt8]] {
        let texts: [[String]] =
            switch self {
            case .json, .eager:
                [
                    [Self.records(0..<9, value: 1), Self.records(0..<9, value: 2), Self.records(1..<10, value: 2)],
                    [Self.map("name"), Self.map("label"), Self.map("name")],
                    [#"{"data":{"items":[1,2.5e3,null]},"é":"\u00e9\ud83d\ude00"}"#, "[[[[]]],{}]", "1", "true"],
                ]
            case .minify: [[Self.records(0..<4, value: 1)], ["[ 1 , \"a \\\" b\" ]\r\n\t", "tr ue", "1 2"]]
            case .tables:
                [
                    ["a,b\n1,2\n3,\"x,\"\"y\"\"\n\"\n", "a,b\n1,2\n4,5\n"],
                    ["one field of a good length,another one,\n,,\r\n\r\nx,\\,\u{7F}\n"],
                ]
            case .xml:
                [
                    ["<a><b p='1'>x</b><b>y &amp; z</b></a>", "<a><b p='1'>x</b></a>"],
                    ["<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY e 'x'>]><r>&e;<![CDATA[<&]]><!--c--><i/></r>"],
                ]
            }
        return texts.map { [0, 0] + Array($0.joined(separator: "\u{1E}").utf8) }
    }

    private static func records(_ range: Range<Int>, value: Int) -> String {
        let records = range.map { #"{"id":"record \#($0)","list":[1,2,{"x":null}],"value":\#(value),"n":-1.25}"# }
        return "[\(records.joined(separator: ", "))]"
    }

    private static func map(_ name: String) -> String {
        let members = (0..<12).map { #""\#(name) \#($0)": "a value of some length, \#($0)""# }
        return "{\(members.joined(separator: ",\n  "))}"
    }

    /// What such texts are made of.
    private var words: [String] {
        switch self {
        case .json, .eager, .minify:
            [
                "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0041", "\\ud83d", "null", "true", "false", "0", "-1",
                "1e400", "0.12345678901234567", "\"id\":", "\"a\":1,", "[]", "{}", " ", "\n  ", "\u{1E}", "é",
                "\u{FEFF}",
            ]
        case .tables: [",", "\n", "\r\n", "\"", "\"\"", "a,b\n", "sep=;\n", "\\", "\t", ";", "\u{1E}", "é", "xxxxxxxx"]
        case .xml:
            [
                "<a>", "</a>", "<b/>", "<", ">", "&", "&amp;", "&#10;", "&#x41;", "<![CDATA[", "]]>", "<!--", "-->",
                " p='q'",
                "<?xml encoding='latin1'?>", "<!DOCTYPE a>", "\u{1E}", "\"", "\\", "é", "\n",
            ]
        }
    }

    /// An input made from others by a few changes.
    package func mutated(_ inputs: [[UInt8]], using generator: inout SplitMix64) -> [UInt8] {
        func pick<Element>(_ choices: [Element]) -> Element? { choices.randomElement(using: &generator) }
        var input = pick(inputs) ?? []
        for _ in 0..<Int.random(in: 1...6, using: &generator) {
            let start = Int.random(in: 0...input.count, using: &generator)
            let end = min(input.count, start + Int.random(in: 0...60, using: &generator))
            switch Int.random(in: 0..<8, using: &generator) {
            case 0: input.removeSubrange(start..<end)
            case 1: input.insert(contentsOf: input[start..<end], at: start)
            case 2, 3: input.insert(contentsOf: Array((pick(self.words) ?? "").utf8), at: start)
            case 4 where start < input.count: input[start] = UInt8.random(in: 0...255, using: &generator)
            case 5 where start < input.count: input[start] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 6:
                let other = pick(inputs) ?? []
                input.replaceSubrange(
                    start..<end,
                    with: other.dropFirst(Int.random(in: 0...other.count, using: &generator))
                )
            default: input += [0x1E] + input.dropFirst(2)
            }
        }
        return Array(input.prefix(Self.maxBytes))
    }

    /// Of an input.
    package static let maxBytes = 16 << 10

    /// Reads so many random inputs, each made from the seeds and from those before it.
    ///
    /// - Returns: The first input that is read in two ways, and what differs.
    package func search(seed: UInt64, rounds: Int) -> (input: [UInt8], difference: String)? {
        var generator = SplitMix64(seed: seed)
        var inputs = self.seeds
        for _ in 0..<rounds {
            let input = self.mutated(inputs, using: &generator)
            if let difference = self.difference(in: input) { return (input, difference) }
            // Changes of changes; the seeds stay.
            let isFull = inputs.count >= 64
            if isFull { inputs[Int.random(in: self.seeds.count..<inputs.count, using: &generator)] = input }
            if !isFull { inputs.append(input) }
        }
        return nil
    }
}
