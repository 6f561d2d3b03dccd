// What the configuration says of a simulated source.

import FreshetCore

struct SimulatedSetting: Hashable, Sendable {
    /// Another version is another URL, and so another value.
    var version = 1
    /// Something that does not change what the value means.
    var timeout = 10

    func configuration(of name: String) -> SourceConfiguration {
        var configuration = SourceConfiguration(name: name, url: "http://upstream.example/\(name)/\(self.version)")
        configuration.interval = .fixed(.seconds(1))
        configuration.timeout = .seconds(self.timeout)
        return configuration
    }
}
