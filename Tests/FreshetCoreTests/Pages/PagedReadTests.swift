import Foundation
import HTTPFields
import JSON
import System
import Testing

@testable import FreshetCore

/// A collection behind an API that sends it in pages, and that changes while they are read.
struct PagedCollection {
    struct Item: Hashable {
        var id: Int
        var revision: Int
    }

    var items: [Item]
    let style: Pagination.Style
    let size: Int
    let hasTags: Bool
    private var nextID: Int

    init(count: Int, style: Pagination.Style, size: Int, hasTags: Bool) {
        self.items = (0..<count).map { Item(id: $0, revision: 0) }
        (self.style, self.size, self.hasTags, self.nextID) = (style, size, hasTags, count)
    }

    static let url = "https://a.example/items"

    /// The text of a state as the gateway should have it.
    static func text(_ items: [Item]) -> String {
        "[" + items.map { #"{"id":\#($0.id),"revision":\#($0.revision)}"# }.joined(separator: ",") + "]"
    }

    var source: (SourceConfiguration, Pagination) {
        var source = SourceConfiguration(name: "items", url: Self.url)
        var pagination = Pagination(style: self.style)
        pagination.maxPages = 1000
        if self.style == .page || self.style == .offset {
            pagination.size = self.size
            pagination.sizeParameter = "limit"
        }
        source.paginate = pagination
        if self.style == .next || self.style == .cursor { source.items = Pointer("/items") }
        return (source, pagination)
    }

    mutating func change(using generator: inout SplitMix64) {
        let position = self.items.isEmpty ? 0 : Int.random(in: 0..<self.items.count, using: &generator)
        switch Int.random(in: 0..<5, using: &generator) {
        case 0:
            self.items.insert(Item(id: self.nextID, revision: 0), at: position)
            self.nextID += 1
        case 1 where !self.items.isEmpty: self.items.remove(at: position)
        case 2 where self.items.count > 1:
            let item = self.items.remove(at: position)
            self.items.insert(item, at: Int.random(in: 0...self.items.count, using: &generator))
        case 3:
            self.items.append(Item(id: self.nextID, revision: 0))
            self.nextID += 1
        case _: if !self.items.isEmpty { self.items[position].revision += 1 }
        }
    }

    func answer(_ request: PagedRead.Request) -> ExchangeResponse {
        let start: Int
        switch self.style {
        case .offset: start = URLQuery.value(of: "offset", in: request.url).flatMap { Int($0) } ?? 0
        case .cursor:
            // The items after the one that the page before ended with, or after its place where it is gone.
            let parts = (URLQuery.value(of: "cursor", in: request.url) ?? "").split(separator: "-").compactMap {
                Int($0)
            }
            start = parts.count == 2 ? self.items.firstIndex { $0.id == parts[0] }.map { $0 + 1 } ?? parts[1] : 0
        case _:
            start = ((URLQuery.value(of: "page", in: request.url).flatMap { Int($0) } ?? 1) - 1) * self.size
        }
        let page = Array(self.items.dropFirst(start).prefix(self.size))
        let end = start + page.count
        let hasNext = end < self.items.count
        let number = start / self.size + 2
        var fields: [HeaderField] = []
        func field(_ name: String, _ value: String) {
            fields.append(HeaderField(name: Array(name.utf8), value: Array(value.utf8)))
        }
        let text = Self.text(page)
        var body = text
        switch self.style {
        case .link: field("link", hasNext ? "<?page=\(number)>; rel=\"next\"" : "<?page=1>; rel=\"first\"")
        case .next: body = #"{"items":\#(text),"next":\#(hasNext ? "\"/items?page=\(number)\"" : "null")}"#
        case .cursor:
            let cursor = hasNext ? page.last.map { "\"\($0.id)-\(end)\"" } ?? "null" : "null"
            body = #"{"items":\#(text),"next_cursor":\#(cursor)}"#
        case _: break
        }
        field("content-type", "application/json")
        let tag = "\"\(StableHash.of(body.utf8))-\(hasNext)\""
        if self.hasTags { field("etag", tag) }
        if self.hasTags, request.validators.etag == Array(tag.utf8) {
            return ExchangeResponse(status: 304, fields: fields, body: [])
        }
        return ExchangeResponse(status: 200, fields: fields, body: Array(body.utf8), wireBytes: body.utf8.count)
    }
}

@Suite("Pages: reads")
struct PagedReadTests {
    private static let collections = ProcessInfo.processInfo.environment["FRESHET_EXHAUSTIVE"] == nil ? 200 : 1000
    private static let styles: [Pagination.Style] = [.link, .next, .cursor, .page, .offset]

    /// What one read came to.
    private struct Outcome {
        var pages: PageSet?
        var text: String?
        var isTorn = false
        var isChanged = false
        var requests = 0
        /// Answers with a body.
        var bodies = 0
        /// Every state that the collection was in from the first request to the last.
        var states: Set<String> = []
        var error: UpstreamError?
    }

    /// Reads the collection, which `change` may alter before each answer.
    private func read(
        _ collection: inout PagedCollection,
        known: PageSet?,
        change: (inout PagedCollection) -> Void = { _ in }
    ) -> Outcome {
        let (source, pagination) = collection.source
        var read = PagedRead(source, pagination, known: known, isConditional: true)
        var outcome = Outcome()
        outcome.states.insert(PagedCollection.text(collection.items))
        var request = read.begin()
        while true {
            change(&collection)
            outcome.states.insert(PagedCollection.text(collection.items))
            let answer = collection.answer(request)
            outcome.bodies += answer.status == 200 ? 1 : 0
            let step = read.received(answer)
            outcome.requests = read.requests
            switch step {
            case .ask(let next): request = next
            case .whole(let pages, let isChanged):
                outcome.pages = pages
                outcome.isChanged = isChanged
                let joined = (try? Document(parsing: pages.joined))?.root
                let items = source.items.map { joined?.value(at: $0) } ?? joined
                outcome.text = items.map { String(decoding: $0.text, as: UTF8.self) }
                return outcome
            case .refused(let response):
                outcome.error = UpstreamError(.status, "\(response.status)")
                return outcome
            case .failed(let error):
                outcome.error = error
                outcome.isTorn = error.kind == .torn
                return outcome
            }
        }
    }

    @Test(
        "F37: of collections that change while they are paged, no read is a state that never was, by at most one extra pass",
        arguments: Self.styles
    )
    func torn(style: Pagination.Style) throws {
        var whole = 0
        var torn = 0
        for seed in 0..<Self.collections {
            var generator = SplitMix64(seed: UInt64(seed) &* 31 &+ StableHash.of(style.rawValue.utf8))
            let size = Int.random(in: 1...7, using: &generator)
            var collection = PagedCollection(
                count: Int.random(in: 0...40, using: &generator),
                style: style,
                size: size,
                hasTags: Bool.random(using: &generator)
            )
            var known: PageSet?
            for _ in 0..<6 {
                let chance = Double.random(in: 0...0.5, using: &generator)
                let outcome = self.read(&collection, known: known) { collection in
                    if Double.random(in: 0..<1, using: &generator) < chance { collection.change(using: &generator) }
                }
                if let pages = outcome.pages, let text = outcome.text {
                    whole += outcome.isChanged ? 1 : 0
                    let isState = outcome.states.contains(text)
                    // What confirms the value that is known need not be of this very time.
                    let isKnown = !outcome.isChanged && known != nil
                    #expect(isState || isKnown, "seed \(seed): \(text) was never there")
                    #expect(outcome.requests <= 2 * pages.count, "seed \(seed): more than one extra pass")
                    known = pages
                } else {
                    torn += outcome.isTorn ? 1 : 0
                    #expect(outcome.isTorn, "seed \(seed): \(outcome.error?.message ?? "")")
                }
            }
            // Once it holds still, one read finds it as it is.
            let last = self.read(&collection, known: known)
            #expect(last.text == PagedCollection.text(collection.items), "seed \(seed)")
        }
        #expect(whole > Self.collections && torn > Self.collections / 2, "\(whole) whole, \(torn) torn")
    }

    @Test("unchanged pages cost a request without a body each, and no second pass", arguments: Self.styles)
    func unchanged(style: Pagination.Style) throws {
        var collection = PagedCollection(count: 247, style: style, size: 5, hasTags: true)
        let first = self.read(&collection, known: nil)
        #expect(first.requests == 100 && first.bodies == 50)
        let second = self.read(&collection, known: first.pages)
        #expect(second.requests == 50 && second.bodies == 0 && !second.isChanged)
        collection.items[101].revision += 1
        let third = self.read(&collection, known: second.pages)
        #expect(third.requests == 100 && third.bodies == 1 && third.isChanged)
        #expect(third.text == PagedCollection.text(collection.items))
    }

    @Test("without validators bodies are compared", arguments: Self.styles)
    func bare(style: Pagination.Style) {
        var collection = PagedCollection(count: 12, style: style, size: 5, hasTags: false)
        let first = self.read(&collection, known: nil)
        #expect(first.requests == 6 && first.isChanged)
        let second = self.read(&collection, known: first.pages)
        #expect(second.requests == 3 && !second.isChanged)
    }

    @Test("a collection of one page is read at once, and one that grows past it in two passes")
    func growing() {
        var collection = PagedCollection(count: 5, style: .link, size: 5, hasTags: true)
        let first = self.read(&collection, known: nil)
        #expect(first.requests == 1 && first.isChanged)
        collection.items.append(.init(id: 99, revision: 0))
        let second = self.read(&collection, known: first.pages)
        #expect(second.requests == 4 && second.text == PagedCollection.text(collection.items))
    }

    // MARK: Refusals

    private func page(_ body: String, status: Int = 200, link: String? = nil) -> ExchangeResponse {
        var fields = [HeaderField(name: Array("content-type".utf8), value: Array("application/json".utf8))]
        if let link { fields.append(HeaderField(name: Array("link".utf8), value: Array(link.utf8))) }
        return ExchangeResponse(status: status, fields: fields, body: Array(body.utf8))
    }

    private func failure(
        _ answers: [ExchangeResponse],
        _ configure: (inout SourceConfiguration, inout Pagination) -> Void = { _, _ in }
    ) -> String {
        var source = SourceConfiguration(name: "x", url: "https://a.example/x")
        var pagination = Pagination(style: .link)
        configure(&source, &pagination)
        source.paginate = pagination
        var read = PagedRead(source, pagination, known: nil, isConditional: true)
        _ = read.begin()
        for answer in answers {
            switch read.received(answer) {
            case .ask: continue
            case .whole: return "whole"
            case .refused(let response): return "refused \(response.status)"
            case .failed(let error): return "\(error.kind.rawValue): \(error.message)"
            }
        }
        return "asks"
    }

    private let next = #"<https://a.example/x?page=2>; rel="next""#

    @Test("a page that cannot be used ends the read, and says which it is")
    func refusals() {
        let first = self.page("[1]", link: self.next)
        #expect(self.failure([first, self.page("", status: 500)]) == "refused 500")
        #expect(self.failure([first, self.page("", status: 429)]) == "refused 429")
        #expect(self.failure([self.page("", status: 410)]) == "refused 410")
        #expect(self.failure([first, self.page("", status: 410)]).hasPrefix("not_found: page 2"))
        #expect(
            self.failure([first, self.page("", status: 404)]) { source, _ in source.onMissing = .tombstone }
                .hasPrefix("not_found: page 2")
        )
        #expect(self.failure([first, self.page("{\"error\":1}")]).contains("array on one page"))
        #expect(self.failure([first, self.page("7")]).hasPrefix("unexpected: page 2: a page has no items"))
        #expect(self.failure([first, self.page("[2", link: nil)]).hasPrefix("malformed: page 2"))
        #expect(self.failure([first, self.page("[2]", link: self.next)]).contains("leads back"))
        #expect(
            self.failure([first, self.page("[2]", link: #"</x?page=3>; rel="next""#)]) { $1.maxPages = 2 }
                .contains("max_pages")
        )
        #expect(self.failure([first, self.page("[2,3,4]")]) { $1.maxBytes = 8 }.contains("max_bytes"))
        #expect(self.failure([first, self.page("[2]")]) == "asks")
        #expect(self.failure([first, self.page("[2]"), first, self.page("[2]")]) == "whole")
        #expect(self.failure([first, self.page("[2]"), first, self.page("[3]")]).hasPrefix("torn"))
        #expect(self.failure([first, self.page("[2]"), self.page("[1]")]).hasPrefix("torn"), "the chain has ended")
        #expect(self.failure([self.page("{\"a\":1}")]).contains("set `items`"))
        #expect(self.failure([self.page("[1]", status: 304)]) == "refused 304")
    }

    @Test(
        "the value is the first page with the items of all in it",
        arguments: [
            ("[1,2]", "[3]", "", "[1,2,3]"), ("[]", "[3]", "", "[3]"), ("[1]", "[]", "", "[1]"),
            (#"{"n":1,"i":[{"a":[]}],"z":2}"#, #"{"n":2,"i":[3,4]}"#, "/i", #"{"n":1,"i":[{"a":[]},3,4],"z":2}"#),
            (#"{"i":{"a":1}}"#, #"{"i":{"b":2}}"#, "/i", #"{"i":{"a":1,"b":2}}"#),
        ]
    )
    func joined(first: String, second: String, items: String, value: String) {
        var source = SourceConfiguration(name: "x", url: "https://a.example/x")
        source.items = items.isEmpty ? nil : Pointer(items)
        var read = PagedRead(source, Pagination(style: .link), known: nil, isConditional: true)
        _ = read.begin()
        let answers = [self.page(first, link: self.next), self.page(second)]
        for answer in answers + answers {
            guard case .whole(let pages, _) = read.received(answer) else { continue }
            #expect(String(decoding: pages.joined, as: UTF8.self) == value)
            return
        }
        Issue.record("no value")
    }

    @Test("what the source ignores, and tokens that differ each time, tear no read")
    func volatile() {
        var source = SourceConfiguration(name: "x", url: "https://a.example/x")
        source.items = Pointer("/i")
        source.ignore = ["/at"].compactMap { PointerPattern($0) }
        var pagination = Pagination(style: .cursor)
        pagination.next = Pointer("/c")
        var read = PagedRead(source, pagination, known: nil, isConditional: true)
        _ = read.begin()
        let bodies = [
            #"{"at":1,"c":"x1","i":[1]}"#, #"{"at":2,"c":null,"i":[2]}"#, #"{"at":3,"c":"x2","i":[1]}"#,
            #"{"at":4,"c":null,"i":[2]}"#,
        ]
        for body in bodies.dropLast() {
            guard case .ask = read.received(self.page(body)) else {
                Issue.record("\(body) ended the read")
                return
            }
        }
        guard case .whole(let pages, let isChanged) = read.received(self.page(bodies[3])) else {
            Issue.record("no value")
            return
        }
        #expect(isChanged && pages.count == 2)
    }

    @Test("a condition that is refused is left out, once")
    func refusedCondition() {
        var collection = PagedCollection(count: 3, style: .link, size: 5, hasTags: true)
        let known = self.read(&collection, known: nil).pages
        let (source, pagination) = collection.source
        var read = PagedRead(source, pagination, known: known, isConditional: true)
        let request = read.begin()
        #expect(!request.validators.isEmpty)
        guard case .ask(let again) = read.received(self.page("", status: 400)) else {
            Issue.record("no repeat")
            return
        }
        #expect(again.validators.isEmpty)
        guard case .refused(let response) = read.received(self.page("", status: 400)) else {
            Issue.record("repeated twice")
            return
        }
        #expect(response.status == 400)
    }
}
