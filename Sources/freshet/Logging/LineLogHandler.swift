// One log event as one line: text for people, JSON for machines. Nothing in a line can forge another (FAULTS S22).

import ArgumentParser
import FreshetConfiguration
import FreshetCore
import JSON
import Logging

/// The form of log lines.
enum LogFormat: String, CaseIterable, Sendable, ExpressibleByArgument {
    case text
    case json
}

/// Hands the lines of one logger to the sink.
struct LineLogHandler: LogHandler {
    let label: String
    let format: LogFormat
    let sink: LogSink
    let clock: @Sendable () -> WallTime
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var metadata = self.metadataProvider?.get() ?? [:]
        metadata.merge(self.metadata) { $1 }
        metadata.merge(event.metadata ?? [:]) { $1 }
        if let error = event.error {
            metadata["error"] = "\(error)"
        }
        let line = LogLine(
            time: self.clock(),
            level: event.level,
            label: self.label,
            message: URLRedaction.redacted("\(event.message)"),
            metadata: metadata.mapValues { "\(URLRedaction.redacted("\($0)"))" }
        )
        self.sink.write(line.bytes(self.format))
    }
}

/// What a line says.
struct LogLine {
    var time: WallTime
    var level: Logger.Level
    var label: String
    var message: String
    var metadata: Logger.Metadata

    func bytes(_ format: LogFormat) -> [UInt8] {
        switch format {
        case .text: self.text
        case .json: self.json
        }
    }

    private var text: [UInt8] {
        let level = self.level.rawValue.padding(to: 7)
        var line = "\(self.time) \(level) \(self.message.escapingControls())"
        for (key, value) in self.metadata.sorted(by: { $0.key < $1.key }) {
            line += " \(key.escapingControls())=\(Self.quoted("\(value)"))"
        }
        return Array(line.utf8)
    }

    /// The text, in quotes where a reader could not tell its end.
    private static func quoted(_ text: String) -> String {
        let escaped = text.escapingControls()
        guard escaped.isEmpty || escaped.contains(where: { $0 == " " || $0 == "=" || $0 == "\"" }) else {
            return escaped
        }
        return "\"\(escaped.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
    }

    private var json: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("time", self.time.description)
            json.member("level", self.level.rawValue)
            json.member("label", self.label)
            json.member("message", self.message.escapingControls())
            for (key, value) in self.metadata.sorted(by: { $0.key < $1.key }) {
                json.member(key.escapingControls(), "\(value)".escapingControls())
            }
        }
        return json.text
    }
}

extension String {
    fileprivate func padding(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - self.count))
    }
}
