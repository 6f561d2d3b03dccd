// The files of change times that the benchmark reads.

import Foundation

/// Recordings by name, as a file holds them.
///
/// `{"name": {"q": 300, "t": [unix times], "t0": start}}`, where `q` and `t0` may be missing; `{"name": [unix times]}`;
/// or a list of `{"name": …, "t": [unix times]}`. A `t1` ends the window that `t0` begins.
struct TraceFile: Decodable {
    /// In the order of their names.
    let recordings: [(name: String, recording: Recording)]

    /// Why a file is not one of traces.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Reads a file.
    ///
    /// - Throws: ``Failure`` with the path, and the place inside the file where there is one.
    static func read(_ path: String) throws -> TraceFile {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw Failure(description: "\(path): cannot be read: \(error.localizedDescription)")
        }
        do {
            return try JSONDecoder().decode(TraceFile.self, from: data)
        } catch let error as DecodingError {
            throw Failure(description: "\(path): \(Self.text(of: error))")
        }
    }

    init(from decoder: any Decoder) throws {
        let named: [(name: String, recording: Recording)]
        if let list = try? decoder.unkeyedContainer() {
            var list = list
            var entries: [(name: String, recording: Recording)] = []
            while !list.isAtEnd {
                let entry = try list.decode(Entry.self)
                entries.append((entry.name ?? "trace \(entries.count + 1)", entry.recording))
            }
            named = entries
        } else {
            let object = try decoder.container(keyedBy: Name.self)
            named = try object.allKeys.map { ($0.stringValue, try object.decode(Entry.self, forKey: $0).recording) }
        }
        self.recordings = named.sorted { $0.name < $1.name }
    }

    private static func text(of error: DecodingError) -> String {
        let context: DecodingError.Context
        switch error {
        case .typeMismatch(_, let found), .valueNotFound(_, let found), .keyNotFound(_, let found),
            .dataCorrupted(let found):
            context = found
        @unknown default:
            return "not a file of traces"
        }
        let place = context.codingPath.map(\.stringValue).joined(separator: ".")
        return (place.isEmpty ? "" : "\(place): ") + "not a trace: \(context.debugDescription)"
    }
}

private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init?(stringValue: String) { self.stringValue = stringValue }

    init?(intValue: Int) { nil }
}

/// One recording, as an object or as bare times.
private struct Entry: Decodable {
    var name: String?
    var recording: Recording

    private enum Key: String, CodingKey {
        case name, q, t, t0, t1
    }

    /// Beyond these no arithmetic on times is exact enough to be of use.
    private static let sensibleTimes = -1e11...1e11

    init(from decoder: any Decoder) throws {
        if let times = try? decoder.singleValueContainer().decode([Double].self) {
            self.recording = Recording(quantum: 0, times: times)
        } else {
            let object = try decoder.container(keyedBy: Key.self)
            self.name = try object.decodeIfPresent(String.self, forKey: .name)
            self.recording = Recording(
                quantum: try object.decodeIfPresent(Double.self, forKey: .q) ?? 0,
                times: try object.decode([Double].self, forKey: .t),
                start: try object.decodeIfPresent(Double.self, forKey: .t0),
                end: try object.decodeIfPresent(Double.self, forKey: .t1)
            )
        }
        let times = self.recording.times + [self.recording.start, self.recording.end].compactMap(\.self)
        guard times.allSatisfy(Self.sensibleTimes.contains), (0...1e9).contains(self.recording.quantum) else {
            throw DecodingError.dataCorrupted(
                DecodingError.Context(
                    codingPath: decoder.codingPath,
                    debugDescription: "times are unix seconds, and q is the scraper's interval in seconds"
                )
            )
        }
        self.recording.times.sort()
    }
}
