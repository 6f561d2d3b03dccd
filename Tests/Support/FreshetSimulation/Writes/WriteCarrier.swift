// Histories through a gateway that runs: each request and each answer goes over a transport, and time stays the history's.

package import FreshetCore

/// Carries the requests of a history's clients to the gateway, and the answers back. One at a time; which writes are under way at
/// once is the history's matter.
package protocol WriteCarrier {
    /// Sends a write of a client, and returns it as the gateway has it.
    mutating func carry(_ request: WriteRequest, of write: Int, by client: Int) async throws -> WriteRequest

    /// Has the gateway give this answer, and returns it as its client reads it.
    mutating func carry(_ answer: WriteAnswer, to write: Int) async throws -> WriteAnswer

    /// The client of a write that is under way hears no more of it.
    mutating func cut(_ write: Int) async throws
}

extension WriteAnswer {
    /// What a client reads otherwise than it was answered; `nil` where nothing is.
    func difference(to read: WriteAnswer) -> String? {
        func text(_ bytes: [UInt8]?) -> String { bytes.map { String(decoding: $0, as: UTF8.self) } ?? "-" }
        func members(_ problem: WriteProblem?) -> [String] {
            (problem?.members ?? []).map { "\($0.name)=\(text($0.json))" }.sorted()
        }
        let rows: [(String, String, String)] = [
            ("status", "\(self.status)", "\(read.status)"), ("etag", self.etag ?? "-", read.etag ?? "-"),
            ("cursor", self.cursor?.description ?? "-", read.cursor?.description ?? "-"),
            ("location", self.location ?? "-", read.location ?? "-"),
            ("guard", self.guardNote ?? "-", read.guardNote ?? "-"), ("value", text(self.value), text(read.value)),
            ("code", self.problem?.code ?? "-", read.problem?.code ?? "-"),
            ("detail", self.problem?.detail ?? "-", read.problem?.detail ?? "-"),
            ("retry after", "\(self.problem?.retryAfter ?? -1)", "\(read.problem?.retryAfter ?? -1)"),
            ("members", "\(members(self.problem))", "\(members(read.problem))"),
        ]
        guard let row = rows.first(where: { $0.1 != $0.2 }) else { return nil }
        return "its \(row.0) is \(row.1), and its client reads \(row.2)"
    }
}
