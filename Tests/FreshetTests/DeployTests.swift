// What `Deploy` holds, checked with the tools of those who read it: `.ci/deploy` has the checks.

import Foundation
import FreshetTesting
import Testing

/// Each check says why where it is skipped; the ones that need root, a Prometheus or a program with the static runtime of
/// Swift are those of `make deploy-check`.
@Suite("Deploy", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct DeployTests {
    /// About ten seconds in all, most of them for `pip` at the first use.
    static let checks = [
        "scripts", "example", "configurations", "rules", "names", "metrics", "unit", "image", "compose", "kubernetes",
    ]
    /// Half a minute each; at the first use `root` builds a libcurl and `systemd` unpacks a Debian, two minutes more.
    static let long = ["dashboard", "proxies", "root", "package", "systemd"]

    @Test("a check finds nothing", arguments: Self.checks)
    func check(name: String) async throws {
        try await self.run(name)
    }

    @Test(
        "a long check finds nothing",
        .enabled(if: ProcessInfo.processInfo.environment["FRESHET_EXHAUSTIVE"] != nil, "a part of make test-long"),
        arguments: Self.long
    )
    func longCheck(name: String) async throws {
        try await self.run(name)
    }

    private func run(_ name: String) async throws {
        let script = Suites.packageRoot.appending(path: ".ci/deploy").path
        let process = try FreshetProcess(
            [script, name],
            environment: ["FRESHET": try FreshetProcess.locateBinary()],
            binary: "/bin/bash"
        )
        let status = try await process.exitStatus(timeout: .seconds(300))
        #expect(status == .exited(0), "\(process.output)\(process.errors)")
        #expect(process.output.hasPrefix("\(name): "), "\(process.output)")
        // Where a tool is missing.
        if process.output.contains("skipped") { print(process.output, terminator: "") }
    }
}
