import JSON
import Testing
import XML

/// What the reader does eight bytes at a time, or remembers, against what it does byte by byte.
@Suite("XML by words")
struct XMLWordTests {
    private static func document(_ xml: String) throws -> Document {
        try Document(parsing: XMLImage(parsing: Array(xml.utf8), lists: XMLLists()).json)
    }

    @Test(
        "a character that JSON escapes is found at every offset",
        arguments: [("&quot;", "\""), ("\\", "\\"), ("&#10;", "\n"), ("&#9;", "\t"), ("&#13;", "\r"), ("é", "é")]
    )
    func escapes(xml: String, text: String) throws {
        for before in 0..<20 {
            for after in 0..<10 {
                let (left, right) = (String(repeating: "a", count: before), String(repeating: "b", count: after))
                let root = try Self.document("<a x=\"\(left)\(xml)\(right)\"><b>.\(left)\(xml)\(right).</b></a>").root
                #expect(root["a"]?["@x"]?.utf8 == Array("\(left)\(text)\(right)".utf8))
                #expect(root["a"]?["b"]?.utf8 == Array(".\(left)\(text)\(right).".utf8))
            }
        }
    }

    @Test("text around and between children, some of them with text themselves, stays that of its element")
    func mixed() throws {
        let xml = "<a>one <b>two <c>three</c> four<c/></b> five <d>six</d><e/> seven</a>"
        #expect(
            try Self.document(xml).text
                == Array(
                    ##"{"a":{"b":{"c":["three",""],"#text":"two  four"},"d":"six","e":"","#text":"one  five  seven"}}"##
                        .utf8
                )
        )
    }

    @Test("names are distinguished by all of their bytes, and found again among thousands")
    func names() throws {
        let names =
            (0..<3000).map { "element\($0 % 7 == 0 ? "-with-a-long-name-" : "")\($0)" } + ["e", "el", "element"]
        let children = names.map { "<\($0)>\($0)</\($0)>" }.joined()
        let root = try #require(try Self.document("<r><x>\(children)</x><x>\(children)</x></r>").root["r"]?["x"])
        #expect(root.count == 2)
        for list in root.elements {
            #expect(list.members.map(\.name) == names)
            #expect(list.members.map(\.value.string) == names)
        }
    }

    @Test("references are found at every offset, and the names of HTML among them")
    func references() throws {
        for before in 0..<20 {
            let left = String(repeating: "x", count: before)
            #expect(try Self.document("<a>\(left)&lt;&nbsp;&gt;</a>").root["a"]?.string == "\(left)<\u{A0}>")
        }
    }

    @Test("siblings of many names, deep and beside each other, keep the shape of their lists")
    func paths() throws {
        let row = "<row><a><k/></a><b><k/></b><c><k/><k/></c></row>"
        let image = try XMLImage(parsing: Array("<t>\(row)\(row)</t>".utf8), lists: XMLLists())
        let lone = Array("<t><row><a><k/></a><b><k/></b><c><k/></c></row></t>".utf8)
        #expect(
            try XMLImage(parsing: lone, lists: image.lists).json
                == Array(#"{"t":{"row":[{"a":{"k":""},"b":{"k":""},"c":{"k":[""]}}]}}"#.utf8)
        )
    }
}
