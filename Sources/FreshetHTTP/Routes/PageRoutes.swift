// The pages for people, the client for their programs, and the description of the interface: files as they are.

struct PageRoutes: Sendable {
    /// The files of the example board are served too.
    let servesExample: Bool

    /// Nothing from elsewhere, nothing inline: text of an upstream cannot become a program here (FAULTS S26).
    private static let policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    func add(to routes: inout RouteTable) {
        for file in WebFile.all {
            switch file.name {
            case "page/index.html":
                routes.on(.get, "/", for: .everybody) { self.page(file.answer($0.request.head)) }
            case let name where name.hasPrefix("demo/") && !self.servesExample: continue
            case let name where name.hasPrefix("demo/") && name.hasSuffix(".html"):
                routes.on(.get, "/\(name)", for: .everybody) { self.page(file.answer($0.request.head)) }
            case "docs/index.html":
                routes.on(.get, "/docs", for: .everybody) { self.page(file.answer($0.request.head)) }
            case let name where name.hasPrefix("page/"):
                routes.on(.get, "/\(name.dropFirst(5))", for: .everybody) { file.answer($0.request.head) }
            case let name:
                routes.on(.get, "/\(name)", for: .everybody) { file.answer($0.request.head) }
            }
        }
    }

    /// Shows what every client may read; what it changes, it changes with the key that it was given.
    private func page(_ file: Answer) -> Answer {
        var answer = file
        answer.set("Content-Security-Policy", Self.policy)
        answer.set("Referrer-Policy", "no-referrer")
        return answer
    }
}
