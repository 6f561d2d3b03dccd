import JSON
import Testing
import XML

@Suite("XML image")
struct XMLImageTests {
    /// XML, and its image.
    private static let table: [(xml: String, json: String)] = [
        ("<a/>", #"{"a":""}"#),
        ("<a></a>", #"{"a":""}"#),
        ("<a>text</a>", #"{"a":"text"}"#),
        ("<a>\n  spaced out \n</a>", #"{"a":"spaced out"}"#),
        ("<a>one\n two</a>", #"{"a":"one\n two"}"#),
        (#"<a b="1" c=""/>"#, #"{"a":{"@b":"1","@c":""}}"#),
        (#"<a b="1">text</a>"#, ##"{"a":{"@b":"1","#text":"text"}}"##),
        ("<a><b>1</b><c>2</c></a>", #"{"a":{"b":"1","c":"2"}}"#),
        ("<a>\n <b>1</b>\n</a>", #"{"a":{"b":"1"}}"#),
        ("<a><b>1</b><b>2</b><b/></a>", #"{"a":{"b":["1","2",""]}}"#),
        ("<a><b>1</b><c/><b>2</b></a>", #"{"a":{"b":["1","2"],"c":""}}"#),
        ("<a><a><a>1</a></a><b/><a>2</a></a>", #"{"a":{"a":[{"a":"1"},"2"],"b":""}}"#),
        ("<a><b><c/></b><b><c/><c/></b></a>", #"{"a":{"b":[{"c":""},{"c":["",""]}]}}"#),
        ("<p>Hello <b>dear</b> world</p>", ##"{"p":{"b":"dear","#text":"Hello  world"}}"##),
        ("<a><![CDATA[<b>&amp;</b>]]></a>", #"{"a":"<b>&amp;</b>"}"#),
        ("<a>x<![CDATA[ y ]]>z</a>", #"{"a":"x y z"}"#),
        ("<a>&lt;&gt;&amp;&apos;&quot;&#65;&#x1F600;</a>", #"{"a":"<>&'\"A😀"}"#),
        (#"<a b="&quot;\&#10;&#9;"/>"#, #"{"a":{"@b":"\"\\\n\t"}}"#),
        ("<a><!-- no --><?php no ?>yes</a>", #"{"a":"yes"}"#),
        (
            #"<m:a xmlns="u" xmlns:m="v"><m:b/><b/></m:a>"#,
            #"{"m:a":{"@xmlns":"u","@xmlns:m":"v","m:b":"","b":""}}"#
        ),
        ("\u{FEFF}<a>\u{E9}</a>", "{\"a\":\"\u{E9}\"}"),
        ("\n\n<?xml version=\"1.0\"?>\n<a/>\n", #"{"a":""}"#),
        (#"<!DOCTYPE rss PUBLIC "-//x//y" "http://127.0.0.1:1/rss.dtd"><rss>1</rss>"#, #"{"rss":"1"}"#),
        (#"<!DOCTYPE a [<!ELEMENT a ANY><!ATTLIST a b CDATA "default">]><a/>"#, #"{"a":""}"#),
    ]

    @Test("each construct has one image", arguments: table)
    func image(xml: String, json: String) throws {
        #expect(try Self.image(of: xml) == json)
    }

    @Test(
        "a lone item of a collection is an array, as two of them are",
        arguments: [
            ("<rss><channel><item>1</item></channel></rss>", #"{"rss":{"channel":{"item":["1"]}}}"#),
            ("<feed><title>t</title><entry><id>1</id></entry></feed>", #"{"feed":{"title":"t","entry":[{"id":"1"}]}}"#),
            ("<kml><Folder><Placemark id='1'/></Folder></kml>", #"{"kml":{"Folder":{"Placemark":[{"@id":"1"}]}}}"#),
            ("<urlset><url><loc>/</loc></url></urlset>", #"{"urlset":{"url":[{"loc":"/"}]}}"#),
            ("<a><stops><stop>1</stop></stops></a>", #"{"a":{"stops":{"stop":["1"]}}}"#),
            ("<x:stops><x:stop>1</x:stop></x:stops>", #"{"x:stops":{"x:stop":["1"]}}"#),
            ("<stops><name>1</name></stops>", #"{"stops":{"name":"1"}}"#),
            ("<image><url>u</url></image>", #"{"image":{"url":"u"}}"#),
        ]
    )
    func items(xml: String, json: String) throws {
        #expect(try Self.image(of: xml) == json)
    }

    @Test(
        "the collection that the configuration names is always an array, empty where it has no items",
        arguments: [
            ("<r><list><x>1</x></list></r>", #"{"r":{"list":{"x":["1"]}}}"#),
            ("<r><list><x>1</x><x>2</x></list></r>", #"{"r":{"list":{"x":["1","2"]}}}"#),
            ("<r><list/></r>", #"{"r":{"list":{"x":[]}}}"#),
            ("<r><list>text</list></r>", ##"{"r":{"list":{"x":[],"#text":"text"}}}"##),
            ("<r><list><y/></list></r>", #"{"r":{"list":{"y":"","x":[]}}}"#),
            ("<r><other><x>1</x></other></r>", #"{"r":{"other":{"x":"1"}}}"#),
            (
                "<r><y><list><x>1</x></list></y><list><x>1</x></list></r>",
                #"{"r":{"y":{"list":{"x":"1"}},"list":{"x":["1"]}}}"#
            ),
            ("<list><x>1</x></list>", #"{"list":{"x":"1"}}"#),
        ]
    )
    func collection(xml: String, json: String) throws {
        #expect(try Self.image(of: xml, collection: ["r", "list", "x"]) == json)
    }

    @Test(
        "other encodings become UTF-8",
        arguments: [
            (Array("<?xml version='1.0' encoding='ISO-8859-1'?><a>".utf8) + [0xE9] + Array("</a>".utf8), "\u{E9}"),
            (
                Array("<?xml version='1.0' encoding='Windows-1252'?><a>".utf8) + [0x80, 0x93]
                    + Array("</a>".utf8), "\u{20AC}\u{201C}"
            ),
            ([0xFE, 0xFF] + "<a>\u{E9}</a>".utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }, "\u{E9}"),
            ([0xFF, 0xFE] + "<a>\u{E9}</a>".utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }, "\u{E9}"),
        ] as [([UInt8], String)]
    )
    func encodings(bytes: [UInt8], text: String) throws {
        let image = try XMLImage(parsing: bytes).json
        #expect(String(decoding: image, as: UTF8.self) == "{\"a\":\"\(text)\"}")
    }

    @Test("every image is JSON, whatever names and text are")
    func images() throws {
        for seed in 0..<300 as Range<UInt64> {
            let xml = RandomXML(seed: seed).text
            let image = try XMLImage(parsing: Array(xml.utf8)).json
            let document = try Document(parsing: image)
            #expect(document.text == image, "\(xml)")
            #expect(image.count <= 3 * xml.utf8.count + 16)
        }
    }

    private static func image(of xml: String, collection: [String] = []) throws -> String {
        let way = collection.map { Array($0.utf8) }
        return String(decoding: try XMLImage(parsing: Array(xml.utf8), collection: way).json, as: UTF8.self)
    }
}

/// A document of few names, so that they repeat, with text that needs escaping.
private struct RandomXML {
    private(set) var text = ""
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        self.element(depth: 0)
    }

    private mutating func number(below limit: UInt64) -> UInt64 {
        self.state = self.state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (self.state >> 33) % limit
    }

    private mutating func element(depth: Int) {
        let name = ["a", "b", "as", "x:y", "é"][Int(self.number(below: 5))]
        self.text += "<\(name)"
        for attribute in ["p", "q"] where self.number(below: 4) == 0 {
            self.text += " \(attribute)='\\&quot;&#9;'"
        }
        self.text += ">"
        for _ in 0..<self.number(below: depth < 5 ? 5 : 1) {
            if self.number(below: 3) == 0 { self.text += " \"\\\u{2028}&#13;é " }
            self.element(depth: depth + 1)
        }
        self.text += "</\(name)>"
    }
}
