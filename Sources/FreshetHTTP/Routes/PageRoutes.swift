// The page for people, and the client for their programs.

struct PageRoutes: Sendable {
    /// Nothing from elsewhere, nothing inline: text of an upstream cannot become a program here (FAULTS S26).
    private static let policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/", for: .everybody) { _ in self.page() }
        self.add("/page.js", Page.script, type: "text/javascript; charset=utf-8", to: &routes)
        self.add("/page.css", Page.style, type: "text/css; charset=utf-8", to: &routes)
        self.add("/page.svg", Page.icon, type: "image/svg+xml", to: &routes)
        self.add("/client/freshet.js", ClientModule.text, type: "text/javascript; charset=utf-8", to: &routes)
    }

    private func add(_ path: String, _ text: String, type: String, to routes: inout RouteTable) {
        routes.on(.get, path, for: .everybody) { _ in
            var answer = Answer(200, body: Array(text.utf8), type: type)
            answer.set("Cache-Control", "no-cache")
            return answer
        }
    }

    /// Shows what every client may read; what it changes, it changes with the key that it was given.
    private func page() -> Answer {
        var answer = Answer(200, body: Array(Page.document.utf8), type: "text/html; charset=utf-8")
        answer.set("Cache-Control", "no-cache")
        answer.set("Content-Security-Policy", Self.policy)
        answer.set("Referrer-Policy", "no-referrer")
        return answer
    }
}
