import FreshetCore
import JSON
import Testing

extension RepresentationTests {
    @Test(
        "XML that is broken or hostile fails with its place",
        arguments: [
            ("<a><b></a>", UpstreamError.Kind.malformed, "mismatched tag (byte 8)"),
            ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", .malformed, "entities are never expanded"),
            ("<?xml version='1.0' encoding='x-none'?><a/>", .encoding, "unknown encoding"),
            (String(repeating: "<a>", count: 64), .tooLarge, "elements nested deeper than 63 (byte 189)"),
        ]
    )
    func brokenXML(xml: String, kind: UpstreamError.Kind, message: String) {
        #expect {
            try Self.text(of: xml, as: .xml)
        } throws: { error in
            guard let error = error as? UpstreamError else { return false }
            return error.kind == kind && error.message.contains(message)
        }
    }

    @Test(
        "items of feeds are found, and so is what identifies them",
        arguments: [
            (
                "<rss><channel><title>t</title><item><title>x</title><guid isPermaLink='false'>1</guid></item>"
                    + "<item><title>x</title><guid isPermaLink='false'>2</guid></item></channel></rss>",
                "/rss/channel/item", "/guid/#text"
            ),
            ("<rss><channel><item><guid>1</guid></item></channel></rss>", "/rss/channel/item", "/guid"),
            (
                "<feed><entry><title>a</title><id>1</id></entry><entry><title>b</title><id>2</id></entry></feed>",
                "/feed/entry", "/id"
            ),
            (
                "<kml><Document><Folder><Placemark id='1'/><Placemark id='2'/></Folder></Document></kml>",
                "/kml/Document/Folder/Placemark", "/@id"
            ),
        ]
    )
    func feeds(xml: String, items: String, key: String) throws {
        let document = try Representation.document(from: Array(xml.utf8), format: .xml, limits: ParseLimits())
        let rule = try #require(ItemKeyGuess.rule(for: document))
        #expect(rule.items.description == items)
        #expect(rule.key?.description == key)
    }

    @Test("the collection that the configuration names is an array at any size")
    func collection() throws {
        let pointer = try #require(Pointer("/a/b/c"))
        for (xml, count) in [("<a><b/></a>", 0), ("<a><b><c/></b></a>", 1), ("<a><b><c/><c/></b></a>", 2)] {
            let document = try Representation.document(
                from: Array(xml.utf8),
                format: .xml,
                limits: ParseLimits(),
                collection: pointer
            )
            let collection = try #require(document.value(at: pointer))
            #expect(collection.kind == .array)
            #expect(collection.count == count)
        }
    }
}
