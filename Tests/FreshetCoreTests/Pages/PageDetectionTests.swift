import HTTPFields
import JSON
import Testing

@testable import FreshetCore

@Suite("Pages: auto")
struct PageDetectionTests {
    private func read(_ response: ExchangeResponse, _ url: String) throws(UpstreamError) -> (page: Page, items: Pointer)
    {
        let source = SourceConfiguration(name: "x", url: url)
        let reader = PageReader(source, Pagination(style: .auto))
        let read = try reader.page(response, url: url, rule: nil, items: nil, before: 0)
        return (read.page, read.items)
    }

    @Test("the style of a documented answer is found, or the answer is refused", arguments: PagedAPI.all)
    func documented(api: PagedAPI) throws {
        guard let next = api.next else {
            let error = #expect(throws: UpstreamError.self) { try self.read(api.response, api.url) }
            #expect(error?.message.contains("style: auto") == true, "\(error?.message ?? "")")
            return
        }
        let (page, items) = try self.read(api.response, api.url)
        #expect(page.next == next)
        #expect(items.description == api.items)
        #expect(page.count > 0)
    }

    @Test("there are thirty of them and more, and none is wrong in silence")
    func share() {
        #expect(PagedAPI.all.count >= 40)
        #expect(PagedAPI.all.count { $0.next == nil } == 3)
    }

    @Test("a last page leads nowhere", arguments: lastPages)
    func last(name: String, url: String, body: String) throws {
        let api = PagedAPI(name, url, body, items: "", next: nil)
        #expect(try self.read(api.response, url).page.next == nil, "\(name)")
    }

    @Test("a total in the fields that no Link explains is refused", arguments: ["x-total-count", "x-wp-totalpages"])
    func totals(name: String) {
        var response = PagedAPI("", "", "[{}]", items: "", next: nil).response
        response.fields.append(HeaderField(name: Array(name.utf8), value: Array("7".utf8)))
        #expect(throws: UpstreamError.self) { try self.read(response, "https://a/x") }
    }
}
