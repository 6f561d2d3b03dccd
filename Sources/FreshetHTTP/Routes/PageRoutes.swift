// The page for people, and the client for their programs.

struct PageRoutes: Sendable {
    /// Nothing from elsewhere, nothing inline: text of an upstream cannot become a program here (FAULTS S26).
    private static let policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    private static let files: KeyValuePairs<String, WebFile> = [
        "/page.js": .pageScript, "/page.css": .pageStyle, "/page.svg": .pageIcon, "/client/freshet.js": .client,
    ]

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/", for: .everybody) { self.page($0.request.head) }
        for (path, file) in Self.files {
            routes.on(.get, path, for: .everybody) { file.answer($0.request.head) }
        }
    }

    /// Shows what every client may read; what it changes, it changes with the key that it was given.
    private func page(_ head: RequestHead) -> Answer {
        var answer = WebFile.page.answer(head)
        answer.set("Content-Security-Policy", Self.policy)
        answer.set("Referrer-Policy", "no-referrer")
        return answer
    }
}
