// The code of the page on the Swift client, which is compiled here as it stands there, and run.

import Foundation
import FreshetClient
import FreshetTesting
import Testing

struct Rates: Decodable, Sendable {
    var eur: Double
}

func follow(_ url: String) async throws {
    let gateway = try FreshetClient(url)
    for try await rates in gateway.source("rates").values(as: Rates.self) {
        print(rates.eur)
    }
}

func watch(_ orders: FreshetClient.Source, after kept: FreshetClient.Cursor?) async throws {
    for try await change in orders.changes(mode: .items, since: kept.map { .after($0) } ?? .snapshot) {
        switch change.kind {
        case .snapshot(let value): print("all: \(value)")
        case .items(let items): print("\(items.created.count) created, \(items.deleted.count) deleted")
        case .gap(let reason): print("something is missing (\(reason)); a snapshot follows")
        case .status(let state, let reason): print("the source is \(state): \(reason ?? "")")
        case .interrupted(let reason, let delay): print("\(reason); again in \(delay)")
        default: break
        }
        if let cursor = change.cursor { print("kept: \(cursor)") }
    }
}

func finish(_ orders: FreshetClient.Source, _ key: String) async throws {
    let order = try await orders.item(key)
    do {
        let done = try await orders.patch(
            .merge(.init(["status": "done"])),
            item: key,
            if: order.etag.map { .matches($0) } ?? .none
        )
        try await done.settled()
    } catch let error as FreshetClientError where error.code == .conflict {
        print("others wrote meanwhile: \(error.problem?["current"]?.description ?? "")")
    }
}

@Suite("The page on the Swift client")
struct SwiftClientPageTests {
    @Test("its code is the code of this file")
    func snippets() throws {
        let here = URL(filePath: #filePath)
        let code = try String(contentsOf: here, encoding: .utf8)
        let page = Suites.packageRoot.appending(path: "Sources/freshet/Freshet.docc/SwiftClient.md")
        let blocks = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "```swift\n").dropFirst()
        #expect(blocks.count == 3)
        for block in blocks {
            let text = block.components(separatedBy: "\n```")[0].replacing("import FreshetClient\n\n", with: "")
            #expect(code.contains(text), "\(text)")
        }
    }

    @Test("it runs", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
    func runs() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let fixture = try WriteFixture(upstream, "conflict: merge", before: "shutdown: { drain: 100ms }")
        _ = try await fixture.ready()
        let url = "http://127.0.0.1:\(try await fixture.gateway.process.listeningPort())"
        let orders = try FreshetClient(url).source("orders")
        try await finish(orders, "a")
        #expect(upstream.text("a")?.contains(#""status":"done""#) == true)
        // There is no such source: what follows it says so, and ends.
        let refused = await #expect(throws: FreshetClientError.self) { try await follow(url) }
        #expect(refused?.code == .notFound)
        let watching = Task { try await watch(orders, after: nil) }
        watching.cancel()
        await #expect(throws: CancellationError.self) { try await watching.value }
        _ = try await fixture.gateway.terminate()
    }
}
