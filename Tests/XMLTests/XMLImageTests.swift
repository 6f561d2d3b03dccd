import Charsets
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

    @Test(
        "R20: HTML's named characters are resolved, and what is declared and not used does no harm",
        arguments: [
            ("<a>one&nbsp;two</a>", "{\"a\":\"one\u{A0}two\"}"),
            ("<a b='caf&eacute;'>&mdash;&hellip;</a>", ##"{"a":{"@b":"café","#text":"—…"}}"##),
            ("<a>&copy;&AMP;&LT;&amp;&lt;</a>", #"{"a":"©&<&<"}"#),
            ("<a b='&AMP;&LT;&quot;&QUOT;'/>", #"{"a":{"@b":"&<\"\""}}"#),
            ("<a>&NotEqualTilde;</a>", "{\"a\":\"\u{2242}\u{338}\"}"),
            ("<a><![CDATA[&nbsp;&none;]]></a>", #"{"a":"&nbsp;&none;"}"#),
            ("<a><!-- &none; --><?x &none;?>y</a>", #"{"a":"y"}"#),
            ("<?xml version='1.0' standalone='yes'?><a>&euro;</a>", #"{"a":"€"}"#),
            ("<?xml version='1.0' encoding='UTF-8' standalone='yes' ?><a b='&euro;'/>", #"{"a":{"@b":"€"}}"#),
            (
                "<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/x.dtd'><a b='&eacute;'>&eacute;</a>",
                ##"{"a":{"@b":"é","#text":"é"}}"##
            ),
            (
                "<!DOCTYPE rss PUBLIC '-//N//DTD 0.91//EN' 'http://127.0.0.1:1/r.dtd'><rss>&eacute;</rss>",
                #"{"rss":"é"}"#
            ),
            (
                "<!DOCTYPE rss [<!ENTITY % HTMLlat1 PUBLIC '-//W3C//ENTITIES Latin 1 for XHTML//EN' "
                    + "'http://127.0.0.1:1/xhtml-lat1.ent'> %HTMLlat1;]><rss a='&eacute;'>&eacute;&mdash;</rss>",
                ##"{"rss":{"@a":"é","#text":"é—"}}"##
            ),
            ("<!DOCTYPE a [<!ENTITY l 'ha'>]><a/>", #"{"a":""}"#),
            ("<!DOCTYPE a [<!ENTITY l 'ha'><!ENTITY m '&l;&l;'>]><a>1</a>", #"{"a":"1"}"#),
            ("<!DOCTYPE a [<!ENTITY l 'ha'>]><a>&nbsp;<![CDATA[&l;]]></a>", "{\"a\":\"\u{A0}&l;\"}"),
            ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>1</a>", #"{"a":"1"}"#),
            ("<!DOCTYPE a [<!ENTITY % x '<!ENTITY y \"z\">'> %x;]><a>1</a>", #"{"a":"1"}"#),
            (
                "<!DOCTYPE a [<!ENTITY nbsp '&#160;'>]><a b='&nbsp;'>&nbsp;x</a>",
                "{\"a\":{\"@b\":\"\u{A0}\",\"#text\":\"\u{A0}x\"}}"
            ),
            (
                "<!DOCTYPE a [<!ENTITY lt '&#38;#60;'><!ENTITY l 'ha'>]><a b='&lt;'>&lt;</a>",
                ##"{"a":{"@b":"<","#text":"<"}}"##
            ),
        ]
    )
    func entities(xml: String, json: String) throws {
        #expect(try Self.image(of: xml) == json)
    }

    @Test("R08: the field wins over the declaration, a byte order mark over both")
    func charsets() throws {
        let latin = Array("<?xml version='1.0' encoding='ISO-8859-1'?><a>".utf8)
        let utf8 = TextEncoding.utf8
        let windows = try #require(TextEncoding(label: "iso-8859-1".utf8))
        let end = Array("</a>".utf8)
        let utf16 = TextEncoding.utf16
        let cases: [([UInt8], TextEncoding?, String)] = [
            (latin + "é".utf8 + end, utf8, "é"),
            (latin + "é".utf8 + end, nil, "Ã©"),
            (latin + [0xE9] + end, nil, "é"),
            (Array("<a>".utf8) + [0xE9] + end, windows, "é"),
            (Array("<?xml version='1.0' encoding='utf-8'?><a>".utf8) + [0xE9] + end, windows, "é"),
            ([0xEF, 0xBB, 0xBF] + latin + "é".utf8 + end, windows, "é"),
            ([0xFF, 0xFE] + "<a>é</a>".utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }, utf8, "é"),
            ("<a>é</a>".utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }, utf16, "é"),
            ("<a>é</a>".utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }, nil, "é"),
            (Array("<?xml version='1.0' encoding='UTF-16'?><a>é</a>".utf8), nil, "é"),
        ]
        for (bytes, charset, text) in cases {
            let image = try XMLImage(parsing: bytes, charset: charset).json
            #expect(String(decoding: image, as: UTF8.self) == "{\"a\":\"\(text)\"}")
        }
    }

    @Test("R21: a list that was seen once keeps its shape, in later documents and beside a longer one")
    func lists() throws {
        func image(_ xml: String, _ lists: inout XMLLists) throws -> String {
            let image = try XMLImage(parsing: Array(xml.utf8), lists: lists)
            lists = image.lists
            return String(decoding: image.json, as: UTF8.self)
        }
        var lists = XMLLists()
        #expect(try image("<r><b>1</b></r>", &lists) == #"{"r":{"b":"1"}}"#)
        #expect(lists.isEmpty)
        #expect(try image("<r><b>1</b><b>2</b></r>", &lists) == #"{"r":{"b":["1","2"]}}"#)
        #expect(try image("<r><b>1</b></r>", &lists) == #"{"r":{"b":["1"]}}"#)
        #expect(try image("<r><c><b>1</b></c></r>", &lists) == #"{"r":{"c":{"b":"1"}}}"#)
        // One place, whatever stands beside it.
        let uneven = "<r><x><a>1</a></x><x><a>1</a><a>2</a></x></r>"
        #expect(try image(uneven, &lists) == #"{"r":{"x":[{"a":["1"]},{"a":["1","2"]}]}}"#)
        lists = XMLLists(encoded: lists.encoded)
        #expect(try image("<r><x><a>1</a></x><b/></r>", &lists) == #"{"r":{"x":[{"a":["1"]}],"b":[""]}}"#)
        #expect(try image("<q><b>1</b></q>", &lists) == #"{"q":{"b":"1"}}"#)
    }

    @Test("R21: what is remembered of lists is bounded")
    func manyLists() throws {
        let xml = "<r>" + (0..<5000).map { "<n\($0)/><n\($0)/>" }.joined() + "</r>"
        let image = try XMLImage(parsing: Array(xml.utf8), lists: XMLLists())
        #expect(image.lists.encoded.split(separator: 0x0A).count == XMLLists.maxPaths)
        let long = String(repeating: "n", count: 2000)
        let names = "<r><\(long)/><\(long)/></r>"
        #expect(try XMLImage(parsing: Array(names.utf8), lists: XMLLists()).lists.isEmpty)
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
