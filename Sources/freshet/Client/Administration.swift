// What an administrator's verbs ask of a running gateway, and what they make of its answer.

import FreshetCore
import JSON

/// One request with its whole answer. Blocks.
struct Administration {
    var target: GatewayOptions.Target
    /// Without a byte of the answer.
    var timeout: Duration = .seconds(10)

    /// Answers are figures and problems; more is not read.
    private static let maxBodyBytes = 1 << 20

    /// Sends a request.
    ///
    /// - Throws: ``GatewayConnectionError`` where the gateway is not there, refuses, or answers what is no JSON.
    func ask(_ method: String, _ path: String) throws(GatewayConnectionError) -> Document {
        let connection: GatewayConnection
        do throws(GatewayConnectionError) {
            connection = try GatewayConnection(self.target.address, timeout: self.timeout)
        } catch {
            let other = "--gateway names another one, as http://HOST:PORT or unix:PATH"
            throw GatewayConnectionError(
                description: "no gateway answers at \(self.target.address): \(error); \(other)"
            )
        }
        let fields = self.target.fields.map { ($0.name, $0.value) }
        let head = try connection.ask(method, path, fields: fields, address: self.target.address)
        var body: [UInt8] = []
        while let bytes = try connection.next() {
            body += bytes
            guard body.count <= Self.maxBodyBytes else {
                throw GatewayConnectionError(description: "the answer to \(path) is too long")
            }
        }
        let document = try? Document(parsing: body)
        guard (200...299).contains(head.status), let document else {
            throw self.refusal(document, status: head.status, path)
        }
        return document
    }

    private func refusal(_ document: Document?, status: Int, _ path: String) -> GatewayConnectionError {
        let detail = document?.root["detail"]?.string ?? "\(path) was answered with \(status)"
        guard status == 401 || status == 403 else { return GatewayConnectionError(description: detail) }
        let way =
            "run as the user of the gateway or as root, who may read its admin.key; or name admin.listen by --gateway"
        return GatewayConnectionError(description: "\(detail) To administer it, \(way).")
    }
}
