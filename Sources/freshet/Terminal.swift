// Writing to the terminal: results to standard output, everything about them to standard error.

import Foundation

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
