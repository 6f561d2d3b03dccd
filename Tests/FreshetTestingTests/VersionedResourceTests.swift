import FreshetTesting
import Testing

@Suite("Versioned resource", .timeLimit(.minutes(1)))
struct VersionedResourceTests {
    @Test("the current entity tag gets 304, any other the body")
    func entityTags() async throws {
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: [[UInt8]("one".utf8), [UInt8]("two".utf8)])
        upstream.serve(resource, at: "/r")
        let client = HTTPTestClient(upstream.endpoint)

        let first = try await client.get("/r")
        #expect(first.status == 200)
        #expect(first.headers["ETag"] == "\"v1\"")
        let same = try await client.get("/r", headers: ["If-None-Match": "\"v1\""])
        #expect(same.status == 304)
        #expect(same.headers["ETag"] == "\"v1\"")
        #expect(same.body.isEmpty)

        #expect(resource.advance())
        let second = try await client.get("/r", headers: ["If-None-Match": "\"v1\""])
        #expect(second.text == "two")
        #expect(second.headers["ETag"] == "\"v2\"")
        #expect(try await client.get("/r", headers: ["If-None-Match": "W/\"v2\""]).status == 200)
        #expect(resource.okCount == 3)
        #expect(resource.notModifiedCount == 1)
        #expect(await resource.waitUntilSent(version: 2))
        #expect(!resource.advance(), "there is no third version")
        #expect(resource.version == 2)
    }

    @Test("Last-Modified moves with the version")
    func lastModified() async throws {
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: [[1], [2]], validator: .lastModified)
        upstream.serve(resource, at: "/r")
        let date = try await RawHTTP.get("/r", from: upstream.endpoint).headers["Last-Modified"]
        #expect(date == "Thu, 01 Jan 2026 00:00:01 GMT")
        let conditional: HeaderFields = ["If-Modified-Since": date ?? ""]
        #expect(try await RawHTTP.get("/r", from: upstream.endpoint, headers: conditional).status == 304)
        resource.go(to: 2)
        #expect(try await RawHTTP.get("/r", from: upstream.endpoint, headers: conditional).body == [2])
    }

    @Test("without validators there is no 304")
    func none() async throws {
        let upstream = try ScriptedUpstream()
        upstream.serve(VersionedResource(versions: [[1]], validator: .none), at: "/r")
        let reply = try await RawHTTP.get("/r", from: upstream.endpoint, headers: ["If-None-Match": "\"v1\""])
        #expect(reply.status == 200)
        #expect(reply.headers["ETag"] == nil)
    }
}
