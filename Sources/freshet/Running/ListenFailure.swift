// Why the gateway cannot listen, and what to do.

import Foundation
import FreshetConfiguration
import FreshetHTTP
import Glibc
import System

enum ListenFailure {
    /// What, why, and the fix.
    static func text(for error: ListenError) -> String {
        let code = self.code(in: error.reason)
        let reason = code.map { String(cString: strerror($0)) } ?? error.reason
        return "Cannot listen on \(error.address): \(reason).".escapingControls() + "\n"
            + self.fix(for: error.address, code).escapingControls()
    }

    /// The number of the system's error, which the networking library puts at the end of its text.
    private static func code(in reason: String) -> Int32? {
        guard let mark = reason.range(of: "errno: ") else { return nil }
        return Int32(reason[mark.upperBound...].prefix { $0.isNumber })
    }

    private static func fix(for address: ListenAddress, _ code: Int32?) -> String {
        switch (address, code) {
        case (.tcp(_, let port), EADDRINUSE):
            let other = port == 65_535 ? 8080 : port + 1
            return "Another program has port \(port). Stop it, or listen elsewhere: --listen 127.0.0.1:\(other)"
        case (.tcp(_, let port), EACCES):
            return "Port \(port) is privileged. Use a port from 1024 on, or allow it: setcap cap_net_bind_service=+ep"
        case (.tcp(let host, _), EADDRNOTAVAIL):
            return "This machine has no address \(host). Use 127.0.0.1 for this machine only, or 0.0.0.0 for all."
        case (.tcp(let host, _), _):
            return "Check the address \(host)."
        case (.unix(let path), _):
            return
                "User \(geteuid()) must be allowed to write to the directory of \(path), and no other program may listen there."
        }
    }
}
