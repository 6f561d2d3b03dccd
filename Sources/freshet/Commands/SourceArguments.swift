// URLs and addresses of the command line.

import ArgumentParser
import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import Glibc
import System

enum SourceArguments {
    /// Reads a URL. Called after parsing, since the parser's own messages repeat the argument, which may hold a secret.
    ///
    /// - Throws: `ValidationError` that says what is wrong, for exit code 64.
    static func url(_ text: String) throws -> URLText {
        do throws(URLText.Failure) {
            return try URLText(text)
        } catch {
            throw ValidationError("\(error.what); \(error.fix)")
        }
    }

    /// Reads the time between polls.
    ///
    /// - Throws: `ValidationError`, also for an interval that a file could not have either.
    static func interval(_ text: String) throws -> Duration {
        do throws(QuantityError) {
            let duration = try DurationText.parse(text)
            if SourceConfiguration.intervals.contains(duration) { return duration }
        } catch {
            throw ValidationError("\(error.what); \(error.fix)")
        }
        throw ValidationError("the minimum is \(DurationText.describe(SourceConfiguration.intervals.lowerBound))")
    }

    /// Reads a time to wait.
    ///
    /// - Throws: `ValidationError` that says what is wrong.
    static func duration(_ text: String) throws -> Duration {
        do throws(QuantityError) {
            return try DurationText.parse(text)
        } catch {
            throw ValidationError("\(error.what); \(error.fix)")
        }
    }

    /// Reads a size.
    ///
    /// - Throws: `ValidationError` that says what is wrong.
    static func size(_ text: String) throws -> Int {
        do throws(QuantityError) {
            return try SizeText.parse(text)
        } catch {
            throw ValidationError("\(error.what); \(error.fix)")
        }
    }

    /// Reads an address to listen on.
    ///
    /// - Throws: `ValidationError` that says what is wrong.
    static func listen(_ text: String) throws -> ListenAddress {
        do throws(ListenAddressText.Failure) {
            return try ListenAddressText.parse(text)
        } catch {
            throw ValidationError("\(error.what); \(error.fix)")
        }
    }

    /// A source for each URL, named from its path, with names that are neither taken nor given twice.
    static func sources(for urls: [URLText], interval: Duration, taken: Set<String> = []) -> [SourceConfiguration] {
        var taken = taken
        return urls.map { url in
            let name = SourceNaming.name(for: url, taken: taken)
            taken.insert(name)
            var source = SourceConfiguration(name: name, url: url.text)
            source.interval = .fixed(interval)
            return source
        }
    }
}

enum FreePort {
    /// The first port of 127.0.0.1 from `first` on that is free, among twenty; else one that the system
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
