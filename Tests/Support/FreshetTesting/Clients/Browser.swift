import CLinux
import Foundation
import Glibc
import Synchronization

/// A headless Chromium with one page, driven over its debugging pipe (`--remote-debugging-pipe`).
///
/// One call at a time. The last reference ends it. Any task may call.
package final class Browser: Sendable {
    private struct State: Sendable {
        /// Answers by the number of their command, as JSON.
        var answers: [Int: [UInt8]] = [:]
        var lastID = 0
        var session = ""
        var hasEnded = false
        /// What the console was told that is an error or a warning.
        var complaints: [String] = []
        /// URLs that pages asked for.
        var requests: [String] = []
        /// The numbers of the documents that the page has had, of frames too.
        var documents: Set<String> = []
    }

    private let state = Watched(State())
    private let folder: TemporaryFolder
    private let process: FreshetProcess
    /// Where commands are written.
    private let commands: Int32

    /// The browser; `nil` where none is installed (`apt install chromium`).
    package static var path: String? {
        ["/usr/bin/chromium", "/usr/bin/chromium-browser"].first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// Starts the browser with an empty page. `trustsAnyCertificate`: of a server that nobody vouches for, too.
    ///
    /// - Throws: `TestingError` where there is no browser, or it does not start in time.
    package init(trustsAnyCertificate: Bool = false) async throws {
        guard let path = Self.path else { throw TestingError(.missing, "no Chromium: apt install chromium") }
        self.folder = try TemporaryFolder()
        // It reads commands from descriptor 3 and writes answers to 4, each ended by a zero byte.
        let pipes = [self.folder.path("commands"), self.folder.path("answers")]
        for pipe in pipes where mkfifo(pipe, 0o600) != 0 {
            throw TestingError(.systemCall(code: errno), "mkfifo")
        }
        let options =
            "--headless --no-sandbox --disable-gpu --remote-debugging-pipe --no-first-run"
            + (trustsAnyCertificate ? " --ignore-certificate-errors" : "")
        let profile = self.folder.path("profile")
        self.process = try FreshetProcess(
            ["-c", #"exec "$0" \#(options) --user-data-dir="$1" about:blank 3<"$2" 4>"$3""#, path, profile] + pipes,
            environment: ["HOME": self.folder.path],
            binary: "/bin/sh"
        )
        // Opened for both directions, which does not wait for the other end.
        self.commands = Glibc.open(pipes[0], O_RDWR | O_CLOEXEC)
        let answers = Glibc.open(pipes[1], O_RDWR | O_CLOEXEC | O_NONBLOCK)
        guard self.commands >= 0, answers >= 0 else { throw TestingError(.systemCall(code: errno), "open a pipe") }
        let state = self.state
        PlainThread.start("browser") { Self.read(answers, into: state) }
        let target = try await self.command("Target.createTarget", ["url": "about:blank"])
        let attached = try await self.command(
            "Target.attachToTarget",
            ["targetId": target["targetId"] as? String ?? "", "flatten": true]
        )
        let session = attached["sessionId"] as? String ?? ""
        self.state.update { $0.session = session }
        for domain in ["Page", "Runtime", "Log", "Network"] { _ = try await self.command("\(domain).enable") }
    }

    deinit {
        self.state.update { $0.hasEnded = true }
        _ = clinux_close(self.commands)
    }

    /// Loads a page. Returns when its document is there, empty as it may be: the command is answered before, and a script
    /// that runs in the document that goes is never answered.
    ///
    /// - Throws: `TestingError` where the browser does not answer in time.
    package func open(_ url: String) async throws {
        let answer = try await self.command("Page.navigate", ["url": url])
        // None where the document stays, and only the fragment is another.
        guard let document = answer["loaderId"] as? String else { return }
        let isThere = await self.state.wait(timeout: .patience) { $0.documents.contains(document) ? true : nil }
        guard isThere == true else {
            throw TestingError(.timedOut, "\(url) does not come\n\(self.process.errors)")
        }
    }

    /// Loads the page again. Returns once the new document is there.
    ///
    /// - Throws: `TestingError` where it does not come.
    package func reload() async throws {
        let before = self.state.value.documents
        _ = try await self.command("Page.reload", [:])
        let isThere = await self.state.wait(timeout: .patience) { $0.documents != before ? true : nil }
        guard isThere == true else { throw TestingError(.timedOut, "no new document\n\(self.process.errors)") }
    }

    /// Runs a script in the page and returns what it comes to, as text; a promise is awaited.
    ///
    /// - Throws: `TestingError` where the script throws or does not end in time.
    package func evaluate(_ script: String) async throws -> String {
        let parameters: [String: any Sendable] = ["expression": script, "awaitPromise": true, "returnByValue": true]
        let answer = try await self.command("Runtime.evaluate", parameters)
        guard answer["exceptionDetails"] == nil, let result = answer["result"] as? [String: Any] else {
            throw TestingError(.malformed, "the script failed: \(answer)")
        }
        return result["value"].map { "\($0)" } ?? ""
    }

    /// Waits until a script is true; it is tried at every change of the document.
    ///
    /// - Throws: `TestingError` where it does not come true in time.
    package func wait(until condition: String) async throws {
        _ = try await self.evaluate(
            """
            new Promise((done) => {
              const look = () => { if (\(condition)) { observer.disconnect(); done(true); } };
              const observer = new MutationObserver(look);
              observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
              look();
            })
            """
        )
    }

    func command(_ method: String, _ parameters: [String: any Sendable] = [:]) async throws -> [String: Any] {
        let (id, session) = self.state.update { state -> (Int, String) in
            state.lastID += 1
            return (state.lastID, state.session)
        }
        var command: [String: Any] = ["id": id, "method": method, "params": parameters]
        if !session.isEmpty { command["sessionId"] = session }
        let bytes = Array(try JSONSerialization.data(withJSONObject: command)) + [0]
        guard write(self.commands, bytes, bytes.count) == bytes.count else {
            throw TestingError(.systemCall(code: errno), "\(method): write")
        }
        let answer = await self.state.wait(timeout: .patience) { $0.answers.removeValue(forKey: id) }
        guard let answer, let object = try? JSONSerialization.jsonObject(with: Data(answer)) as? [String: Any] else {
            throw TestingError(.timedOut, "\(method): no answer\n\(self.process.errors)")
        }
        guard let result = object["result"] as? [String: Any] else {
            throw TestingError(.malformed, "\(method): \(String(decoding: answer, as: UTF8.self))")
        }
        return result
    }

    /// Errors and warnings of the console so far, scripts that threw among them.
    package var complaints: [String] { self.state.value.complaints }

    /// URLs that pages asked for so far, in their order.
    package var requests: [String] { self.state.value.requests }

    private static func take(_ event: [String: Any], into state: inout State) {
        let parameters = event["params"] as? [String: Any] ?? [:]
        switch event["method"] as? String {
        case "Runtime.exceptionThrown": state.complaints.append("\(parameters)")
        case "Runtime.consoleAPICalled" where ["error", "warning", "assert"].contains(parameters["type"] as? String):
            state.complaints.append("\(parameters)")
        case "Log.entryAdded":
            let entry = parameters["entry"] as? [String: Any] ?? [:]
            guard ["error", "warning"].contains(entry["level"] as? String) else { return }
            state.complaints.append("\(entry)")
        case "Page.frameNavigated":
            let frame = parameters["frame"] as? [String: Any] ?? [:]
            state.documents.insert(frame["loaderId"] as? String ?? "")
        case "Network.requestWillBeSent":
            let request = parameters["request"] as? [String: Any]
            state.requests.append(request?["url"] as? String ?? "")
        default: break
        }
    }

    /// Reads messages until the browser is let go. Those without a number are events.
    private static func read(_ descriptor: Int32, into state: Watched<State>) {
        var message: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while !state.value.hasEnded {
            guard waitFor([(descriptor, POLLIN)], deadline: Deadline(in: .seconds(1)), signal: nil) == .ready else {
                continue
            }
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { continue }
            message += buffer[..<count]
            while let end = message.firstIndex(of: 0) {
                let bytes = Array(message[..<end])
                message.removeSubrange(...end)
                let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
                if let id = object?["id"] as? Int {
                    state.update { $0.answers[id] = bytes }
                } else if let object {
                    state.update { Self.take(object, into: &$0) }
                }
            }
        }
        _ = clinux_close(descriptor)
    }
}
