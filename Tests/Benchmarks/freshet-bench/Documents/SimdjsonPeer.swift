// simdjson beside our parser, where libsimdjson-dev and g++ are installed. The package does not depend on it.

import Foundation
import FreshetCore

/// simdjson's DOM parser: a few lines of C++, compiled into the benchmarks' scratch folder once and loaded from there. One
/// thread at a time may use it.
final class SimdjsonPeer {
    private typealias Make = @convention(c) () -> UnsafeMutableRawPointer?
    private typealias Parse = @convention(c) (UnsafeMutableRawPointer, UnsafePointer<UInt8>, Int) -> Int32
    private typealias Free = @convention(c) (UnsafeMutableRawPointer) -> Void

    /// What simdjson reads behind the end of a text, at most.
    private static let padding = 64

    private static let source = """
        #include <simdjson.h>
        extern "C" {
        void *peer_make(void) { return new simdjson::dom::parser; }
        int peer_parse(void *parser, const unsigned char *text, long length) {
            return static_cast<simdjson::dom::parser *>(parser)->parse(text, length, false).error();
        }
        void peer_free(void *parser) { delete static_cast<simdjson::dom::parser *>(parser); }
        }
        """

    private let parser: UnsafeMutableRawPointer
    private let parse: Parse
    private let free: Free

    /// - Returns: `nil` where the library, its header or a C++ compiler is missing.
    init?() {
        guard let path = Self.library(), let handle = dlopen(path, RTLD_NOW) else { return nil }
        // The library stays loaded: functions of it are kept.
        guard let make = dlsym(handle, "peer_make"), let parse = dlsym(handle, "peer_parse"),
            let free = dlsym(handle, "peer_free"), let parser = unsafeBitCast(make, to: Make.self)()
        else { return nil }
        self.parser = parser
        self.parse = unsafeBitCast(parse, to: Parse.self)
        self.free = unsafeBitCast(free, to: Free.self)
    }

    deinit { self.free(self.parser) }

    /// A text as simdjson takes it without a copy: with room behind it.
    static func padded(_ text: [UInt8]) -> [UInt8] { text + [UInt8](repeating: 0, count: self.padding) }

    /// Parses a text that has room behind it.
    ///
    /// - Returns: whether it is JSON.
    func accepts(padded text: [UInt8]) -> Bool {
        text.withUnsafeBufferPointer { text in
            text.baseAddress.map { self.parse(self.parser, $0, text.count - Self.padding) == 0 } ?? false
        }
    }

    private static func library() -> String? {
        let folder = NSTemporaryDirectory() + "freshet-bench-\(getuid())"
        let (source, built) = ("\(folder)/simdjson-peer.cpp", "\(folder)/simdjson-peer.so")
        if FileManager.default.fileExists(atPath: built) { return built }
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        guard (try? Data(self.source.utf8).write(to: URL(fileURLWithPath: source))) != nil else { return nil }
        let compile = try? ChildProcess(
            "/usr/bin/env",
            ["g++", "-O3", "-shared", "-fPIC", "-w", "-o", built, source, "-lsimdjson"]
        )
        return compile?.wait() == 0 ? built : nil
    }
}
