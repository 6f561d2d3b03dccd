// The benchmarks of what Freshet exists for, each beside a floor or a peer measured in the same run.

import Glibc

/// Runs one benchmark, or `all` that need nothing but this package.
@main
struct FreshetBench {
    private static let usage = """
        usage: freshet-bench NAME [OPTION…]

          documents   parse and diff: MB/s, and patch bytes beside independent figures, over recorded upstreams
          schema      validating a document of 5 MB beside parsing it
          fanout      server CPU per delivered event beside the floor of the kernel; memory per idle subscriber
          views       server CPU per delivered event of pointers and items beside that of whole values
          stalled     how late the others are while one subscriber in ten does not read
          sockets     fan-out over WebSockets beside event streams: CPU per delivered event, memory per idle subscriber
          compression server CPU per event of compressed streams beside plain ones; bytes of recorded histories
          storage     what the change log on disk costs: CPU beside publishing from memory, and appends a second
          axway       3,000 subscribers, 100 polled documents of 50 KB: latency end to end with the program itself
          peers       server CPU per event of this program, of nchan where nginx has it, and of the floor
          tls         TLS and HTTP/2: server CPU per event beside plaintext and nchan, memory, handshakes
          access      ES256 tokens verified a second beside openssl; streams opened with a known token beside open ones
          polls       polls per CPU-second with 1,000 and 10,000 sources beside a bare libcurl loop
          bodies      how late polls of 1,000 small sources begin beside ten sources of 8 MiB
          deadhost    how late polls begin when one host among 500 is dead
          hostile     what a hundred hostile clients do to the others: delivery, probes, polls, memory, what is lost
          restart     kill -9 under 10,000 subscribers of 500 sources, and all of them back by their cursors
          writes      what 100 writes a second to one source do to the streams of 1,000 subscribers beside it
          webhooks    CPU of a signed delivery beside a bare libcurl loop that posts the same bodies
          polling     the adaptive policy against fixed intervals: --traces FILE… [--json]
          cluster-latency  from the gateway that polls to another one, beside a bare publisher and reader of the same broker
          cluster     how many gateways a million subscribers need, computed: --subscribers N --changes N --followed N
          simulate    long runs of the seeded simulation: --seeds 1-200 --steps 20000 [--plant NAME|all]
          all         documents, polls, fanout and hostile
        """

    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard let name = arguments.first else { self.fail(self.usage) }
        let rest = Array(arguments.dropFirst())
        do {
            switch name {
            case "documents": try runDocumentsBenchmark(arguments: rest)
            case "schema": try runSchemaBenchmark(arguments: rest)
            case "fanout": try runFanOutBenchmark(arguments: rest)
            case "fanout-server": try runFanOutServer(arguments: rest)
            case "views": try runViewsBenchmark(arguments: rest)
            case "stalled": try runStalledBenchmark(arguments: rest)
            case "sockets": try runSocketsBenchmark(arguments: rest)
            case "compression": try runCompressionBenchmark(arguments: rest)
            case "storage": try runStorageBenchmark(arguments: rest)
            case "axway": try runAxwayBenchmark(arguments: rest)
            case "peers": try runPeersBenchmark(arguments: rest)
            case "tls": try runTLSBenchmark(arguments: rest)
            case "access": try await runAccessBenchmark(arguments: rest)
            case "polls": try runPollsBenchmark(arguments: rest)
            case "bodies": try runLargeBodiesBenchmark(arguments: rest)
            case "deadhost": try runDeadHostBenchmark(arguments: rest)
            case "restart": try runRestartBenchmark(arguments: rest)
            case "writes": try runWritesBenchmark(arguments: rest)
            case "webhooks": try runWebhooksBenchmark(arguments: rest)
            case "hostile": exit(try runHostileBenchmark(arguments: rest))
            case "polling": exit(runPollingBenchmark(arguments: rest))
            case "cluster-latency": try await runClusterLatencyBenchmark(arguments: rest)
            case "cluster": try runClusterModel(arguments: rest)
            case "simulate": exit(runSimulation(arguments: rest))
            case "all":
                try runDocumentsBenchmark()
                try runPollsBenchmark(arguments: [])
                try runFanOutBenchmark(arguments: [])
                exit(try runHostileBenchmark(arguments: []))
            case _: self.fail(self.usage)
            }
        } catch {
            self.fail("freshet-bench \(name): \(error)", code: 1)
        }
    }

    /// Prints what is wrong to standard error and exits; 64 is a usage error.
    private static func fail(_ text: String, code: Int32 = 64) -> Never {
        _ = (text + "\n").withCString { write(2, $0, strlen($0)) }
        exit(code)
    }
}
