// The threads that read the log: one for streams, one for requests.

import Dispatch
import FreshetCore

extension ReadDesk {
    /// A desk with a serial queue for each lane, which is a thread while there is something to read.
    static func withThreads(_ limits: Limits) -> ReadDesk {
        let queues = Dictionary(
            uniqueKeysWithValues: ReadLane.allCases.map { lane in
                (lane, DispatchQueue(label: "log-\(lane)", qos: .userInitiated))
            }
        )
        return ReadDesk(limits: limits) { desk, lane in
            queues[lane]?.async { desk.runAll(in: lane) }
        }
    }
}
