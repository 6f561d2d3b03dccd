import Foundation
import FreshetCore
import Testing

@testable import FreshetAccess

@Suite("Deny list")
struct DenyListTests {
    private func principal(_ id: String, tokenID: String? = nil, kind: Principal.Kind = .jwt) -> Principal {
        Principal(kind: kind, id: id, tokenID: tokenID, grants: Grants())
    }

    @Test("lines are subjects and token ids; white space, empty lines and comments are none")
    func lines() throws {
        let folder = try TemporaryFolder()
        try folder.write("# gone\n\n alice \r\n\tbob\n#carol\nt-1\nDave Jones", to: "denied")
        let list = WatchedList(path: folder.path("denied"))
        #expect(list.refresh(now: TestClock().now) && list.count == 4)
        for id in ["alice", "bob", "Dave Jones"] { #expect(list.denies(self.principal(id)), "\(id)") }
        #expect(list.denies(self.principal("x", tokenID: "t-1")))
        for id in ["", "Alice", "carol", "#carol", "alic", "gone"] {
            #expect(!list.denies(self.principal(id)), "\(id)")
        }
        #expect(
            list.denies(self.principal("bob", kind: .key)) && list.denies(self.principal("bob", kind: .certificate))
        )
        #expect(!list.denies(self.principal("bob", kind: .administrator)))
    }

    @Test("the file is looked at once a second, and a change counts, however it is written")
    func changes() throws {
        let folder = try TemporaryFolder()
        let clock = TestClock()
        try folder.write("alice", to: "denied")
        let list = WatchedList(path: folder.path("denied"))
        #expect(list.refresh(now: clock.now))
        try folder.write("bobby", to: "denied")
        clock.advance(by: .milliseconds(999))
        #expect(!list.refresh(now: clock.now) && list.denies(self.principal("alice")))
        clock.advance(by: .milliseconds(1))
        #expect(list.refresh(now: clock.now))
        #expect(list.denies(self.principal("bobby")) && !list.denies(self.principal("alice")))
        clock.advance(by: .seconds(1))
        #expect(!list.refresh(now: clock.now))
        // Put in its place, with the time and size of the one before.
        try folder.write("carol", to: "new")
        let old = try FileManager.default.attributesOfItem(atPath: folder.path("denied"))
        let date = try #require(old[.modificationDate])
        try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: folder.path("new"))
        #expect(rename(folder.path("new"), folder.path("denied")) == 0)
        clock.advance(by: .seconds(1))
        #expect(list.refresh(now: clock.now) && list.denies(self.principal("carol")))
        // A clock that was set back is no reason to wait.
        try folder.write("dave", to: "denied")
        clock.advance(by: .seconds(-3600))
        #expect(list.refresh(now: clock.now) && list.denies(self.principal("dave")))
    }

    @Test("a file that cannot be read leaves the old lines in force, and says so")
    func unreadable() throws {
        let folder = try TemporaryFolder()
        let clock = TestClock()
        try folder.write("alice", to: "denied")
        let list = WatchedList(path: folder.path("denied"))
        #expect(list.refresh(now: clock.now))
        try FileManager.default.removeItem(atPath: folder.path("denied"))
        for isThere in [false, true] {
            if isThere {
                try FileManager.default.createDirectory(
                    atPath: folder.path("denied"),
                    withIntermediateDirectories: false
                )
            }
            clock.advance(by: .seconds(1))
            #expect(!list.refresh(now: clock.now) && list.denies(self.principal("alice")) && list.problem != nil)
        }
        #expect(list.problem?.text == "not a regular file")
        try FileManager.default.removeItem(atPath: folder.path("denied"))
        try folder.write("bob", to: "denied")
        clock.advance(by: .seconds(1))
        #expect(list.refresh(now: clock.now) && list.problem == nil && !list.denies(self.principal("alice")))
    }

    @Test("a deny list that is not there at the start is a mistake of the configuration")
    func missing() throws {
        #expect(throws: AccessProblems.self) { try AccessFixture { $0.denyFile = "/nonexistent/denied" } }
    }
}

/// A deny list by reference: `#expect` takes no mutation.
private final class WatchedList {
    private var list: DenyList

    init(path: String) {
        self.list = DenyList(path: path)
    }

    var count: Int { self.list.count }
    var problem: SmallFile.Problem? { self.list.problem }

    func denies(_ principal: Principal) -> Bool { self.list.denies(principal) }
    func refresh(now: WallTime) -> Bool { self.list.refresh(now: now) }
}
