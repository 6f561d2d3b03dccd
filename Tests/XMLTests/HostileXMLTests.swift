import JSON
import Testing
import XML

@Suite("Hostile XML")
struct HostileXMLTests {
    @Test(
        "what is not well-formed is refused with its place",
        arguments: [
            ("<a>", 3), ("<a></b>", 5), ("<a><b></a></b>", 8), ("<a/><b/>", 4), ("<a b='1' b='2'/>", 9), ("a", 0),
            ("<a>&</a>", 4), ("<a>\u{1}</a>", 3), ("<a b=1/>", 5), ("<a><!-- -- --></a>", 9), ("<a/>junk", 4),
            ("<html><p>x<br></p></html>", 16), ("{\"a\":1}", 0),
        ]
    )
    func malformed(xml: String, offset: Int) {
        #expect {
            try XMLImage(parsing: Array(xml.utf8))
        } throws: { error in
            guard let error = error as? XMLError, case .malformed = error.reason else { return false }
            return abs(error.offset - offset) <= 1
        }
    }

    @Test("bytes that are no text in the document's encoding are refused")
    func encodings() {
        for bytes in [[0xC0, 0x80], [0xED, 0xA0, 0x80], [0xFF], [0xF4, 0x90, 0x80, 0x80], [0xC3]] as [[UInt8]] {
            #expect(throws: XMLError.self) {
                try XMLImage(parsing: Array("<a>".utf8) + bytes + Array("</a>".utf8))
            }
        }
        #expect {
            try XMLImage(parsing: Array("<?xml version='1.0' encoding='EBCDIC-42'?><a/>".utf8))
        } throws: { error in
            guard let error = error as? XMLError, case .encoding = error.reason else { return false }
            return true
        }
    }

    @Test(
        "R20: the use of an entity that the document declares, or that stands elsewhere, is refused",
        arguments: [
            // A billion laughs, and their quadratic cousin in an attribute.
            "<!DOCTYPE a [<!ENTITY l 'ha'><!ENTITY m '&l;&l;&l;'>]><a>&m;</a>",
            "<!DOCTYPE a [<!ENTITY l 'ha'><!ENTITY m '&l;&l;&l;'>]><a b='&m;'/>",
            "<!DOCTYPE a [<!ENTITY l 'ha'>]><a b='&l;'/>",
            "<!DOCTYPE a [<!ENTITY l 'ha'>]><a>&l;</a>",
            "<?xml version='1.0' standalone='yes'?><!DOCTYPE a [<!ENTITY l 'ha'>]><a>&l;</a>",
            "<!DOCTYPE a [<!ENTITY l '<b/>'>]><a>&l;</a>",
            "<!DOCTYPE a [<!ENTITY l '&l;'>]><a>&l;</a>",
            "<!DOCTYPE a [<!ENTITY l '&l;'>]><a b='&l;'/>",
            // A name of HTML that means something else here.
            "<!DOCTYPE a [<!ENTITY nbsp 'ha'>]><a>&nbsp;</a>",
            "<!DOCTYPE a [<!ENTITY nbsp 'ha'>]><a b='&nbsp;'/>",
            // What would read a file, or a host.
            "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
            "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a b='&x;'/>",
            "<!DOCTYPE a [<!ENTITY nbsp SYSTEM 'file:///etc/passwd'>]><a>&nbsp;</a>",
            "<!DOCTYPE a [<!ENTITY x PUBLIC '-' 'http://127.0.0.1:1/x' NDATA gif><!NOTATION gif SYSTEM ''>]><a>&x;</a>",
            "<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://127.0.0.1:1/x.dtd'> %x;]><a/>",
            "<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://127.0.0.1:1/x.dtd'> %x;]><a>&nbsp;</a>",
            "<!DOCTYPE a [<!ENTITY % x '<!ENTITY y \"z\">'> %x;]><a>&y;</a>",
            // What a document type elsewhere might declare.
            "<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/x.dtd'><a>one&company;two</a>",
            "<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/x.dtd'><a b='one&company;two'/>",
            "<!DOCTYPE a [<!ENTITY % x PUBLIC '-//W3C//ENTITIES Latin 1//EN' 'http://127.0.0.1:1/x'> %x;]><a>&company;</a>",
            "<a>one&company;two</a>",
            "<a b='&company;'/>",
            "<a>&nbsp;&Nbsp;</a>",
        ]
    )
    func entities(xml: String) {
        #expect {
            try XMLImage(parsing: Array(xml.utf8))
        } throws: { error in
            (error as? XMLError)?.reason == .entity
        }
    }

    @Test("R20: a billion laughs takes no memory, in text or in an attribute")
    func laughs() {
        var declarations = "<!ENTITY l0 'ha'>"
        for level in 1...20 {
            let uses = String(repeating: "&l\(level - 1);", count: 10)
            declarations += "<!ENTITY l\(level) '\(uses)'>"
        }
        for use in ["<a>&l20;</a>", "<a b='&l20;'/>"] {
            #expect {
                try XMLImage(parsing: Array("<!DOCTYPE a [\(declarations)]>\(use)".utf8))
            } throws: { error in
                (error as? XMLError)?.reason == .entity
            }
        }
        let unused = Array("<!DOCTYPE a [\(declarations)]><a>1</a>".utf8)
        #expect(throws: Never.self) { try XMLImage(parsing: unused) }
    }

    @Test("R20: names of entities without end are refused")
    func names() {
        let text = (0..<2000).map { "&e\($0);" }.joined()
        #expect(throws: XMLError(reason: .entity, offset: 0)) {
            try XMLImage(parsing: Array("<a><![CDATA[\(text)]]></a>".utf8))
        }
    }

    @Test("attributes that a document type adds are left out, so that none of them is multiplied")
    func defaults() throws {
        let type = "<!DOCTYPE r [<!ATTLIST a b CDATA '\(String(repeating: "x", count: 100_000))'>]>"
        let xml = type + "<r>" + String(repeating: "<a/>", count: 10_000) + "</r>"
        #expect(try XMLImage(parsing: Array(xml.utf8)).json.count < 100_000)
    }

    @Test("a document type that declares more attributes than allowed is refused")
    func declarations() {
        let names = (0..<100_000).map { "b\($0) CDATA #IMPLIED" }.joined(separator: "\n")
        let xml = "<!DOCTYPE r [<!ATTLIST a \(names)>]><r>" + String(repeating: "<a/>", count: 100_000) + "</r>"
        #expect {
            try XMLImage(parsing: Array(xml.utf8))
        } throws: { error in
            (error as? XMLError)?.reason == .tooManyDeclarations(limit: 256)
        }
    }

    @Test("F38: depth is bounded, and what is within bounds needs no stack")
    func depth() throws {
        let limits = XMLImage.Limits(maxDepth: 63)
        func nested(_ depth: Int) -> [UInt8] {
            Array((String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)).utf8)
        }
        #expect(try Document(parsing: XMLImage(parsing: nested(63), limits: limits).json).root.kind == .object)
        #expect(throws: XMLError(reason: .tooDeep(limit: 63), offset: 3 * 63)) {
            try XMLImage(parsing: nested(64), limits: limits)
        }
        #expect(throws: XMLError(reason: .tooDeep(limit: 63), offset: 3 * 63)) {
            try XMLImage(parsing: nested(100_000), limits: limits)
        }
        // The deepest image that one level of XML can make: an object in an array.
        let wide = String(repeating: "<as><a>", count: 31) + "<as/>" + String(repeating: "</a></as>", count: 31)
        #expect(try Document(parsing: XMLImage(parsing: Array(wide.utf8), limits: limits).json).nodeCount > 60)
        let deep = String(repeating: "<a>", count: 20_000) + String(repeating: "</a>", count: 20_000)
        let image = try XMLImage(parsing: Array(deep.utf8), limits: XMLImage.Limits(maxDepth: 1_000_000)).json
        #expect(image.count == 20_000 * 5 + 20_000 + 2)
    }

    @Test("elements and attributes are bounded together")
    func nodes() throws {
        let limits = XMLImage.Limits(maxNodes: 10)
        let nine = "<r>" + String(repeating: "<a b='1'/>", count: 4) + "</r>"
        #expect(throws: Never.self) { try XMLImage(parsing: Array(nine.utf8), limits: limits) }
        let eleven = "<r>" + String(repeating: "<a b='1'/>", count: 5) + "</r>"
        #expect {
            try XMLImage(parsing: Array(eleven.utf8), limits: limits)
        } throws: { error in
            (error as? XMLError)?.reason == .tooManyNodes(limit: 10)
        }
    }

    @Test("no cut and no changed byte of a feed does harm")
    func damage() throws {
        let feed = Array(
            """
            <?xml version="1.0" encoding="UTF-8"?><rss xmlns:m="u" version="2.0"><channel><title>T&amp;T</title>
            <item><guid isPermaLink="false">1</guid><m:x>é</m:x></item><item><guid>2</guid><![CDATA[<b>]]></item>
            </channel></rss>
            """.utf8
        )
        let whole = try XMLImage(parsing: feed).json
        for end in feed.indices {
            let image = try? XMLImage(parsing: Array(feed[..<end])).json
            #expect(image == nil || image == whole, "cut at \(end)")
        }
        for index in feed.indices {
            for byte in [0, 0x3C, 0x26, 0x22, 0xFF, 0x5D] as [UInt8] where feed[index] != byte {
                var damaged = feed
                damaged[index] = byte
                guard let image = try? XMLImage(parsing: damaged).json else { continue }
                #expect(throws: Never.self) { try Document(parsing: image) }
            }
        }
    }
}
