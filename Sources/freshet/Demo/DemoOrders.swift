// The orders of the demo: a collection of its upstream that clients write, for the board at `/demo/board.html`.

import JSON

/// The orders as clients have written them since the start. Each version has a strong entity tag (RFC 9110 §8.8.3), which
/// `If-Match` compares. A write beyond ``maxCount`` or ``maxBytes`` is refused with 422. Belongs to the upstream's thread.
struct DemoOrders: Sendable {
    private struct Order: Sendable {
        let id: Int
        var version: Int
        var document: Document
    }

    /// In the order in which they were made.
    private var orders: [Order] = []
    /// Counts writes, so that every version of an order and of the collection has a tag of its own.
    private var version = 0
    private var lastID = 0

    /// Orders at one time.
    static let maxCount = 200
    /// Bytes of one order.
    static let maxBytes = 8 << 10

    /// Where the collection is; an order is one segment below.
    static let path = "/api/v1/orders"

    private static let beginning = [
        #"{"id":1,"title":"Bread for Ada","note":"","status":"open"}"#,
        #"{"id":2,"title":"Apples for Grace","note":"two kilos","status":"open"}"#,
        #"{"id":3,"title":"Tea for Alan","note":"","status":"packed"}"#,
        #"{"id":4,"title":"Honey for Barbara","note":"ring twice","status":"open"}"#,
        #"{"id":5,"title":"Coffee for Donald","note":"whole beans","status":"packed"}"#,
        #"{"id":6,"title":"Cheese for Radia","note":"","status":"sent"}"#,
    ]

    init() {
        for text in Self.beginning {
            guard let document = try? Document(parsing: Array(text.utf8)) else { continue }
            self.append(document)
        }
    }

    /// Answers a request for the collection, or for what is below it; `nil` where the path is another.
    mutating func answer(_ request: SmallRequest) -> DemoAnswer? {
        guard request.path != Self.path else { return self.collection(request) }
        guard request.path.hasPrefix(Self.path + "/") else { return nil }
        let name = request.path.dropFirst(Self.path.count + 1)
        // `007` would be a second path of the same order.
        guard let id = Int(name), id > 0, id < 1 << 32, "\(id)" == name else { return DemoAnswer("404 Not Found") }
        return self.item(id, request)
    }

    // MARK: The collection

    private mutating func collection(_ request: SmallRequest) -> DemoAnswer {
        switch request.method {
        case "GET", "HEAD":
            let tag = "\"orders-\(self.version)\""
            guard request.noneMatch != tag else { return DemoAnswer("304 Not Modified", [("ETag", tag)]) }
            var text: [UInt8] = [UInt8(ascii: "[")]
            text.append(contentsOf: self.orders.map(\.document.text).joined(separator: [UInt8(ascii: ",")]))
            return .json("200 OK", text + [UInt8(ascii: "]")], tag: tag)
        case "POST":
            guard let document = Self.object(request.body) else { return .refusal("the body is not a JSON object") }
            guard self.orders.count < Self.maxCount else {
                return .refusal("there are \(Self.maxCount) orders already")
            }
            guard let made = self.named(document, self.lastID + 1) else { return .refusal("the order is too long") }
            let order = self.append(made)
            var answer = self.answer("201 Created", order)
            answer.fields.append(("Location", "\(Self.path)/\(order.id)"))
            return answer
        case _: return .methodNotAllowed("GET, HEAD, POST")
        }
    }

    // MARK: One order

    private mutating func item(_ id: Int, _ request: SmallRequest) -> DemoAnswer {
        let index = self.orders.firstIndex { $0.id == id }
        switch request.method {
        case "GET", "HEAD":
            guard let index else { return DemoAnswer("404 Not Found") }
            let order = self.orders[index]
            guard request.noneMatch != Self.tag(of: order) else {
                return DemoAnswer("304 Not Modified", [("ETag", Self.tag(of: order))])
            }
            return self.answer("200 OK", order)
        case "PUT", "PATCH", "DELETE":
            guard self.isCurrent(index, for: request) else { return DemoAnswer("412 Precondition Failed") }
            if request.method == "DELETE" { return self.remove(index) }
            return self.write(id, index, request)
        case _: return .methodNotAllowed("GET, HEAD, PUT, PATCH, DELETE")
        }
    }

    /// Whether the order is as the writer knows it (RFC 9110 §13.1.1, §13.1.2).
    private func isCurrent(_ index: Int?, for request: SmallRequest) -> Bool {
        let tag = index.map { Self.tag(of: self.orders[$0]) }
        if let known = request.ifMatch, tag == nil || known != "*" && known != tag { return false }
        return request.noneMatch == nil || tag == nil || request.noneMatch != "*" && request.noneMatch != tag
    }

    private mutating func remove(_ index: Int?) -> DemoAnswer {
        guard let index else { return DemoAnswer("404 Not Found") }
        self.orders.remove(at: index)
        self.version += 1
        return DemoAnswer("204 No Content")
    }

    /// PUT makes an order that is not there; PATCH is a merge patch (RFC 7396).
    private mutating func write(_ id: Int, _ index: Int?, _ request: SmallRequest) -> DemoAnswer {
        guard let operand = Self.object(request.body) else { return .refusal("the body is not a JSON object") }
        var document = operand
        if request.method == "PATCH" {
            guard let index else { return DemoAnswer("404 Not Found") }
            guard request.contentType == "application/merge-patch+json" else {
                return DemoAnswer("415 Unsupported Media Type", [("Accept-Patch", "application/merge-patch+json")])
            }
            document = self.orders[index].document.applying(mergePatch: operand)
        }
        guard document.root["id"].map({ $0.int == id }) ?? true else {
            return .refusal("the id is that of another order")
        }
        guard let named = self.named(document, id) else { return .refusal("the order is too long") }
        guard let index else {
            guard self.orders.count < Self.maxCount else {
                return .refusal("there are \(Self.maxCount) orders already")
            }
            return self.answer("201 Created", self.append(named))
        }
        self.version += 1
        self.orders[index].version = self.version
        self.orders[index].document = named
        return self.answer("200 OK", self.orders[index])
    }

    // MARK: Parts

    private static func object(_ body: [UInt8]) -> Document? {
        guard body.count <= Self.maxBytes, let document = try? Document(parsing: body), document.root.kind == .object
        else { return nil }
        return document
    }

    /// An order with its id; `nil` where it is longer than it may be.
    private func named(_ document: Document, _ id: Int) -> Document? {
        guard let patch = try? Document(parsing: Array("{\"id\":\(id)}".utf8)) else { return nil }
        let named = document.applying(mergePatch: patch)
        return named.text.count <= Self.maxBytes ? named : nil
    }

    @discardableResult
    private mutating func append(_ document: Document) -> Order {
        let id = document.root["id"]?.int ?? 0
        self.version += 1
        self.lastID = max(self.lastID, id)
        let order = Order(id: id, version: self.version, document: document)
        self.orders.append(order)
        return order
    }

    private static func tag(of order: Order) -> String { "\"order-\(order.id)-\(order.version)\"" }

    private func answer(_ status: String, _ order: Order) -> DemoAnswer {
        .json(status, order.document.text, tag: Self.tag(of: order))
    }
}
