// URLs and addresses of the command line.

import ArgumentParser
import FreshetCore
import FreshetHTTP
import Glibc

/// A URL as an argument.
struct SourceURL: ExpressibleByArgument {
    var url: URLText

    init?(argument: String) {
        guard let url = try? URLText(argument) else { return nil }
        self.url = url
    }
}

/// A duration as an argument.
struct DurationArgument: ExpressibleByArgument {
    var duration: Duration

    init?(argument: String) {
        guard let duration = try? DurationText.parse(argument) else { return nil }
        self.duration = duration
    }

    init(_ duration: Duration) {
        self.duration = duration
    }

    var defaultValueDescription: String { DurationText.describe(self.duration) }
}

/// An address to listen on as an argument.
struct ListenArgument: ExpressibleByArgument {
    var address: ListenAddress

    init?(argument: String) {
        guard let address = try? ListenAddressText.parse(argument) else { return nil }
        self.address = address
    }
}

enum SourceArguments {
    /// A source for each URL, named from its path, with names that are neither taken nor given twice.
    static func sources(for urls: [SourceURL], interval: Duration, taken: Set<String> = []) -> [SourceConfiguration] {
        var taken = taken
        return urls.map { argument in
            let name = SourceNaming.name(for: argument.url, taken: taken)
            taken.insert(name)
            var source = SourceConfiguration(name: name, url: argument.url.text)
            source.interval = .fixed(interval)
            return source
        }
    }

    /// - Throws: `ValidationError` for an interval that a file could not have either.
    static func check(_ interval: DurationArgument) throws {
        guard (SourcesDecoder.shortestInterval...SourcesDecoder.longestInterval).contains(interval.duration) else {
            throw ValidationError("--interval takes a duration of 10ms or more.")
        }
    }
}

enum FreePort {
    /// The first port of 127.0.0.1 from `first` on that nobody listens on, among twenty; else one that the system
    /// chooses.
    static func address(from first: Int = 8080) -> ListenAddress {
        for port in first..<(first + 20) where self.isFree(port) {
            return .tcp(host: "127.0.0.1", port: port)
        }
        return .tcp(host: "127.0.0.1", port: 0)
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0, let number = in_port_t(exactly: port) else { return false }
        defer { close(descriptor) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = number.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
