// Why the gateway cannot listen, and what to do.

import FreshetHTTP
import Glibc

enum ListenFailure {
    /// What, why, and the fix.
    static func text(for error: ListenError) -> String {
        "Cannot listen on \(error.address): \(error.reason).\n\(self.fix(for: error))".escapingControls()
    }

    private static func fix(for error: ListenError) -> String {
        let reason = error.reason
        switch error.address {
        case .tcp(_, let port) where reason.contains("in use") || reason.contains("errno: \(EADDRINUSE)"):
            return
                "Another program has port \(port). Stop it, or listen elsewhere: --listen 127.0.0.1:\(port == 65_535 ? 8080 : port + 1)"
        case .tcp(_, let port) where reason.contains("ermission denied") || reason.contains("errno: \(EACCES)"):
            return
                "Ports below 1024 are for root. Listen on a higher one than \(port), or allow it: setcap cap_net_bind_service=+ep"
        case .tcp(let host, _) where reason.contains("not available") || reason.contains("assign requested"):
            return
                "This machine has no address \(host). Use 127.0.0.1 for this machine only, or 0.0.0.0 for every address."
        case .tcp(let host, _):
            return "Check the address \(host)."
        case .unix(let path):
            return
                "User \(geteuid()) must be allowed to write to the directory of \(path), and nobody may listen there."
        }
    }
}
