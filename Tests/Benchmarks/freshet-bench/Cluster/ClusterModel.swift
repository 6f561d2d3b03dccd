// How many gateways a million subscribers need, what goes through the broker, and what the end of one gateway does: computed from
// what was measured of one gateway, and not measured itself.

/// One gateway, as measured. Each figure names its table in the page "Performance"; those of TLS are of a run with sessions of
/// OpenSSL, `tls.detach: false`, as clients with TLS 1.2 have them.
enum MeasuredGateway {
    /// "TLS and HTTP/2": CPU of a delivered event of 200 bytes over TLS 1.3, 1,000 subscribers, in µs.
    static let eventMicroseconds = 7.76
    /// "Fan-out": an event to 10,000 subscribers costs more than one to 1,000 (8.66 to 4.92 µs). Beyond 10,000 none was measured.
    static let crowdFactor = 8.66 / 4.92
    /// "TLS and HTTP/2": CPU of a connection with handshake, request, head and first value, in µs.
    static let connectionMicroseconds = 490.0
    /// "TLS and HTTP/2": resident memory of an idle subscriber over TLS 1.3, in bytes. What the kernel holds is not in it.
    static let subscriberBytes = 14_688.0
    /// "Fan-out": what a change costs once, however many listen, in µs.
    static let changeMicroseconds = 35.0
    /// "Hostile clients": resident memory of a quiet gateway with 50 sources and 1,000 subscribers, in MiB, as a floor.
    static let baseMebibytes = 180.0
}

/// What is asked for.
struct ClusterLoad {
    var subscribers = 1_000_000.0
    /// Sources, and how often each changes in a second.
    var sources = 1000.0
    var changesPerSource = 0.1
    /// Sources that a subscriber follows.
    var followed = 1.0
    /// A change in the stream: the value whole, and its patch (the page "Many gateways", "Size").
    var changeBytes = 10_240.0 + 1024
    /// Servers that keep the stream, and the lease in seconds.
    var replicas = 3.0
    var lease = 3.0

    var changesPerSecond: Double { self.sources * self.changesPerSource }
    var eventsPerSecond: Double { self.subscribers * self.followed * self.changesPerSource }
}

/// The machine of one gateway.
struct ClusterMachineSize {
    var cores: Double
    var gibibytes: Double
    /// What of it is used at most, also when another gateway is gone.
    static let share = 0.8
}

/// The cluster that bears a load with one gateway gone.
struct ClusterModel {
    let load: ClusterLoad
    let size: ClusterMachineSize

    /// Shares of a gateway's processors and memory, if so many share the subscribers.
    func processors(_ gateways: Double) -> Double {
        let event = MeasuredGateway.eventMicroseconds * MeasuredGateway.crowdFactor
        let microseconds =
            self.load.eventsPerSecond / gateways * event
            + self.load.changesPerSecond * MeasuredGateway.changeMicroseconds
        return microseconds / 1e6 / self.size.cores
    }

    func memory(_ gateways: Double) -> Double {
        let bytes = self.load.subscribers / gateways * MeasuredGateway.subscriberBytes
        return (bytes / 1_048_576 + MeasuredGateway.baseMebibytes) / (self.size.gibibytes * 1024)
    }

    /// So many that one may be gone; `nil` where no number does, since what each has to do for itself is too much.
    var gateways: Double? {
        (2...10_000).lazy.map(Double.init).first { gateways in
            self.processors(gateways - 1) <= ClusterMachineSize.share
                && self.memory(gateways - 1) <= ClusterMachineSize.share
        }
    }

    /// Bytes a second that the broker takes in, sends to its other servers, and sends to the gateways.
    func broker(_ gateways: Double) -> (taken: Double, replicated: Double, read: Double) {
        let taken = self.load.changesPerSecond * self.load.changeBytes
        return (taken, taken * (self.load.replicas - 1), taken * gateways)
    }

    /// Heartbeats a second that the broker stores, and that it delivers.
    func heartbeats(_ gateways: Double) -> (stored: Double, delivered: Double) {
        let stored = gateways * 3 / self.load.lease
        return (stored, stored * gateways)
    }

    /// Seconds until all that were at one gateway are connected to the others, by their processors alone: clients come back
    /// at times of their own besides.
    func storm(_ gateways: Double) -> Double {
        let idle = max(0, 1 - self.processors(gateways)) * self.size.cores * (gateways - 1)
        return self.load.subscribers / gateways * MeasuredGateway.connectionMicroseconds / 1e6 / idle
    }
}

/// Prints the model. Options: `--subscribers`, `--sources`, `--changes` a second of each, `--followed`.
func runClusterModel(arguments: [String]) throws {
    var load = ClusterLoad()
    var rest = arguments[...]
    while let option = rest.popFirst() {
        guard let value = rest.popFirst().flatMap(Double.init), value > 0 else {
            throw BenchmarkFailure("\(option) has no number above 0")
        }
        switch option {
        case "--subscribers": load.subscribers = value
        case "--sources": load.sources = value
        case "--changes": load.changesPerSource = value
        case "--followed": load.followed = value
        case _: throw BenchmarkFailure("no option \(option)")
        }
    }
    print("computed, not measured: \(Int(load.subscribers)) subscribers, \(Int(load.eventsPerSecond)) events/s")
    Table.row(
        "gateways",
        "number",
        "streams each",
        "CPU %",
        "memory %",
        "one gone, %",
        "storm s",
        "in MB/s",
        "copied",
        "read MB/s"
    )
    for (cores, gibibytes) in [(2.0, 4.0), (4, 8), (8, 16), (16, 32)] {
        let model = ClusterModel(load: load, size: ClusterMachineSize(cores: cores, gibibytes: gibibytes))
        let name = "\(Int(cores)) cores, \(Int(gibibytes)) GiB"
        guard let gateways = model.gateways else {
            Table.row(name, "-")
            continue
        }
        let broker = model.broker(gateways)
        let gone = max(model.processors(gateways - 1), model.memory(gateways - 1))
        Table.row(
            name,
            "\(Int(gateways))",
            "\(Int(load.subscribers / gateways))",
            Table.ratio(model.processors(gateways) * 100),
            Table.ratio(model.memory(gateways) * 100),
            Table.ratio(gone * 100),
            Table.ratio(model.storm(gateways)),
            Table.ratio(broker.taken / 1e6),
            Table.ratio(broker.replicated / 1e6),
            Table.ratio(broker.read / 1e6)
        )
    }
    let few = ClusterModel(load: load, size: ClusterMachineSize(cores: 8, gibibytes: 16))
    if let gateways = few.gateways {
        let beats = few.heartbeats(gateways)
        let (stored, delivered) = (Int(beats.stored), Int(beats.delivered))
        print("heartbeats at \(Int(gateways)) gateways: \(stored) stored, \(delivered) delivered a second")
    }
}
