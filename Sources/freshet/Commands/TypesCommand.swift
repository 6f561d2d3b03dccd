// `freshet types SOURCE`: types for a source's value.

import ArgumentParser
import Foundation
import FreshetConfiguration
import FreshetCore
import JSON
import JSONSchema

struct TypesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "types",
        abstract: "Print TypeScript or Swift types for a source's value.",
        discussion: """
            Asks a running gateway for the source's JSON Schema: the configured one, else the one that it inferred from the \
            values that it has seen, in which a member that was once absent is optional and one that was once null may be \
            null. The longer it has run, the more it has seen.

            Examples:
              freshet types rates > rates.ts
              freshet types orders --lang swift --gateway http://127.0.0.1:8080 > Orders.swift
              freshet types --schema orders.schema.json orders
            """
    )

    /// The languages that types are written in.
    enum Language: String, CaseIterable, ExpressibleByArgument {
        case ts, swift
    }

    @Argument(help: "The name of a source.")
    var source: String

    @Option(help: "The language.")
    var lang = Language.ts

    @Option(
        help: "A JSON Schema to take in place of the gateway's.",
        completion: .file(extensions: ["json"])
    )
    var schema: String?

    @OptionGroup var gateway: GatewayOptions

    /// The longest schema that is read.
    private static let maxBytes = 16 << 20

    func validate() throws {
        guard let selector = SourceSelector(self.source), selector.terms.count == 1, !self.source.hasSuffix("*") else {
            throw ValidationError("One source is named by a-z, 0-9, \".\", \"_\" and \"-\", without * and commas.")
        }
    }

    func run() async throws {
        do throws(StartFailure) {
            let text = try self.schemaText()
            let type: TypeShape
            do throws(ParseError) {
                type = TypeShape(schema: try Document(parsing: text))
            } catch {
                throw StartFailure("The schema is not JSON: \(error)")
            }
            let name = String(self.source.prefix { $0 != "/" })
            let declarations =
                switch self.lang {
                case .ts: TypeScriptText.text(of: type, named: name)
                case .swift: SwiftText.text(of: type, named: name)
                }
            Terminal.print(String(declarations.dropLast()))
        } catch {
            try error.exit()
        }
    }

    private func schemaText() throws(StartFailure) -> [UInt8] {
        if let path = self.schema {
            guard let data = try? Data(contentsOf: URL(filePath: path)), data.count <= Self.maxBytes else {
                throw StartFailure("\(path) cannot be read")
            }
            return [UInt8](data)
        }
        let target = self.gateway.target()
        // As a path has it: with the values of parameters encoded, and their slash.
        let term = SourceSelector(self.source)?.terms.first?.description ?? self.source
        let path = "/v1/sources/\(term.replacingOccurrences(of: "/", with: "%2F"))/schema"
        do throws(GatewayConnectionError) {
            let connection = try GatewayConnection(target.address, timeout: .seconds(10))
            let fields = target.fields.map { ($0.name, $0.value) }
            let head = try connection.get(path, fields: fields, address: target.address)
            var body: [UInt8] = []
            while let bytes = try connection.next() {
                body += bytes
                guard body.count <= Self.maxBytes else {
                    throw GatewayConnectionError(description: "a schema of more than \(Self.maxBytes) bytes")
                }
            }
            guard head.status == 200 else {
                let detail = (try? Document(parsing: body))?.root["detail"]?.string?.escapingControls()
                throw GatewayConnectionError(description: detail ?? "the gateway answered \(head.status)")
            }
            return body
        } catch {
            throw StartFailure("\(target.address): \(error.description)")
        }
    }
}
