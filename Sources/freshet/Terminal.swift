// Writing to the terminal: results to standard output, everything about them to standard error.

import Foundation
import Synchronization

enum Terminal {
    /// Writes a line to standard output.
    static func print(_ line: String) {
        self.write(line + "\n", to: .standardOutput)
    }

    /// Writes a line to standard error.
    static func complain(_ line: String) {
        self.write(line + "\n", to: .standardError)
    }

    /// A reader that went away (`freshet config show | head`) is no reason to crash.
    private static func write(_ text: String, to file: FileHandle) {
        try? file.write(contentsOf: Data(text.utf8))
    }

    /// Whether standard output is a terminal.
    static var isInteractive: Bool { isatty(1) == 1 }

    /// The columns of the terminal; 80 where it does not say.
    static var columns: Int {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Writes text to standard output as it is, without ending the line.
    static func write(_ text: String) {
        self.write(text, to: .standardOutput)
    }

    /// Whether standard output takes colours: a terminal, and no NO_COLOR.
    static var hasColour: Bool {
        let environment = ProcessInfo.processInfo.environment
        return isatty(1) == 1 && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
    }
}

/// What a text is printed in.
enum Colour: String {
    case red = "31"
    case green = "32"
    case yellow = "33"
    case cyan = "36"
    case faint = "2"
    case bold = "1"

    /// The text in this colour, where the terminal has any.
    func callAsFunction(_ text: String, if isOn: Bool = Terminal.hasColour) -> String {
        isOn ? "\u{1B}[\(self.rawValue)m\(text)\u{1B}[0m" : text
    }
}

/// A line at the bottom of the terminal that is written over. Where standard output is no terminal it is not shown. Any thread.
final class StatusLine: Sendable {
    private let isShown: Bool
    /// What stands there now, and whether it was removed for good.
    private let state = Mutex((text: "", isRemoved: false))

    private static let clear = "\r\u{1B}[K"

    init(isShown: Bool = Terminal.isInteractive) {
        self.isShown = isShown
    }

    /// Prints lines above it.
    func print(_ lines: [String]) {
        self.state.withLock { state in
            let shown = self.isShown && !state.text.isEmpty
            if shown { Terminal.write(Self.clear) }
            lines.forEach(Terminal.print)
            if shown { Terminal.write(state.text) }
        }
    }

    /// Puts another text in its place, cut to the width of the terminal. `text` holds no control characters.
    func show(_ text: String) {
        guard self.isShown else { return }
        self.state.withLock { state in
            guard !state.isRemoved else { return }
            // A line that fills the last column would be wrapped.
            state.text = Colour.faint(String(text.prefix(max(1, Terminal.columns - 1))))
            Terminal.write(Self.clear + state.text)
        }
    }

    /// Removes it for good.
    func remove() {
        self.state.withLock { state in
            if self.isShown, !state.text.isEmpty { Terminal.write(Self.clear) }
            state = ("", true)
        }
    }
}
