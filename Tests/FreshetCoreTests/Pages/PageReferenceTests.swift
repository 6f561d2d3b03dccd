import HTTPFields
import Testing

@testable import FreshetCore

@Suite("Pages: links, references and parameters")
struct PageReferenceTests {
    @Test(
        "Link (RFC 8288)",
        arguments: [
            (#"<https://a/2>; rel="next""#, LinkHeader.Finding.next("https://a/2")),
            ("<https://a/2>;rel=next", .next("https://a/2")),
            (#"<https://a/1>; rel="prev", <https://a/3>; rel="last next"; title="x, y""#, .next("https://a/3")),
            (#"<https://a/1>; title="rel=next, <b>"; rel="first", </a?x=1,2>; REL=NEXT"#, .next("/a?x=1,2")),
            (#"<https://a/1>; rel="first", <https://a/1>; rel="last""#, .last),
            (#"<https://a/style.css>; rel="preload"; as=style"#, .none),
            ("nonsense", .none), ("<unclosed; rel=next", .none), ("", .none), (#"<>; rel="next""#, .next("")),
        ]
    )
    func link(value: String, finding: LinkHeader.Finding) {
        let field = HeaderField(name: Array("link".utf8), value: Array(value.utf8))
        #expect(LinkHeader.finding(in: [field]) == finding)
    }

    @Test("the second of two Link fields counts too")
    func secondLink() {
        let fields = [#"<x>; rel="license""#, #"<y>; rel="next""#].map {
            HeaderField(name: Array("link".utf8), value: Array($0.utf8))
        }
        #expect(LinkHeader.finding(in: fields) == .next("y"))
    }

    @Test(
        "references (RFC 3986 §5.4)",
        arguments: [
            ("g", "http://a/b/c/g"), ("./g", "http://a/b/c/g"), ("g/", "http://a/b/c/g/"), ("/g", "http://a/g"),
            ("//g", "http://g"), ("?y", "http://a/b/c/d;p?y"), ("g?y", "http://a/b/c/g?y"), ("..", "http://a/b/"),
            ("../g", "http://a/b/g"), ("../../g", "http://a/g"), ("../../../g", "http://a/g"), ("/./g", "http://a/g"),
            ("g#s", "http://a/b/c/g"), ("https://x/y?z", "https://x/y?z"), ("g:h", "g:h"),
        ]
    )
    func reference(text: String, resolved: String) {
        #expect(URLReference.resolved(text, against: "http://a/b/c/d;p?q") == resolved)
    }

    @Test("references against URLs without a path, and none at all")
    func edges() {
        #expect(URLReference.resolved("g", against: "http://a") == "http://a/g")
        #expect(URLReference.resolved("?p=2", against: "http://a") == "http://a?p=2")
        #expect(URLReference.resolved("", against: "http://a") == nil)
        #expect(URLReference.resolved("#x", against: "http://a") == nil)
        #expect(URLReference.resolved(String(repeating: "x", count: 9000), against: "http://a") == nil)
    }

    @Test(
        "a parameter is set in its place, and nothing else is touched",
        arguments: [
            ("http://a/x", "http://a/x?page=2"), ("http://a/x?", "http://a/x?page=2"),
            ("http://a/x?page=1&b=%20", "http://a/x?b=%20&page=2"), ("http://a/x?b&pag%65=9#f", "http://a/x?b&page=2"),
            ("http://a/x?pages=3", "http://a/x?pages=3&page=2"),
        ]
    )
    func parameter(url: String, result: String) {
        #expect(URLQuery.setting("page", to: "2", in: url) == result)
        #expect(URLQuery.value(of: "page", in: result) == "2")
    }

    @Test("what is set is percent-encoded")
    func encoding() {
        #expect(
            URLQuery.setting("page[after]", to: "a b&c=ü", in: "http://a/")
                == "http://a/?page%5Bafter%5D=a%20b%26c%3D%C3%BC"
        )
        #expect(URLQuery.value(of: "page[after]", in: "http://a/?page[after]=7") == "7")
        #expect(URLQuery.value(of: "x", in: "http://a/?page[after]=7#x=1") == nil)
    }
}
