import FreshetCore
import JSONSchema
import Testing

@testable import FreshetConfiguration

@Suite("Configuration of parameters")
struct ParameterConfigurationTests {
    private func source(_ name: String) throws -> SourceConfiguration {
        let file = ConfigurationCase(
            name: "parameters.good.yaml",
            path: "\(ConfigurationCase.folder)/parameters.good.yaml"
        )
        let loaded = try file.load()
        #expect(loaded.warnings.isEmpty)
        return try #require(loaded.configuration.sources.first { $0.name == name })
    }

    @Test("each key reaches its value, and parameters come in the order of the URL")
    func keys() throws {
        let source = try self.source("person")
        let template = try #require(source.template)
        #expect(template.parameters.map(\.name) == ["id", "view"])
        #expect(template.parameters.map(\.claim) == ["sub", nil])
        #expect(template.parameters.map { $0.pattern?.text } == ["[0-9]+", "short|long"])
        #expect(template.maxInstances == 100 && template.callerShare == 10 && template.linger == .seconds(60))
        let name = try #require(InstanceName("person/42/short"))
        let instance = try #require(template.instance(name, of: source))
        #expect(instance.url == "https://api.example.com/people/42?view=short")
        #expect(instance.headers.contains(.init(name: "X-Person", value: "42")))
        #expect(instance.when == .subscribed && instance.instanceOf == "person" && instance.template == nil)
        for text in ["person/42", "person/42/both", "person/x/short", "person/42/short/1"] {
            #expect(try template.instance(#require(InstanceName(text)), of: source) == nil, "\(text)")
        }
    }

    @Test("in a request of GraphQL the variables have parameters, and the query has none")
    func graphQL() throws {
        let source = try self.source("order")
        let template = try #require(source.template)
        #expect(template.linger == .seconds(120) && template.maxInstances == 1000 && template.callerShare == 500)
        let name = try #require(InstanceName("order/a%22b"))
        let body = try #require(template.instance(name, of: source)?.body)
        let expected = #"{"query":"query ($id: ID!) { order(id: $id) {id} }","variables":{"id":"a\"b"}}"#
        #expect(String(decoding: body, as: UTF8.self) == expected)
        #expect(try self.source("plain").template == nil)
    }
}
