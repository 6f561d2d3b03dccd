// `freshet-bench polling`: the adaptive interval against others on recorded change times, at equal cost.

import Foundation

/// What `freshet-bench polling` was asked for.
struct PollingBenchmarkOptions {
    static let usage = """
        usage: freshet-bench polling [--traces FILE]... [--json] [--requests-per-hour N]
                                     [--theta SECONDS]... [--synthetic]

          --traces FILE            recorded change times: {"name": {"q": scraper's interval, "t": [unix times]}};
                                   with a "t0" it is a member of a pool, watched for 28 days or until "t1"
          --json                   machine-readable figures instead of tables
          --requests-per-hour N    the pool's budget (80)
          --theta SECONDS          also run the pool at this price, whatever it costs
          --synthetic              also run the synthetic pool

        """

    var paths: [String] = []
    var isJSON = false
    var isSynthetic = false
    var requestsPerHour = 80.0
    var thetas: [Double] = []

    /// Nil when the arguments make no sense.
    init?(arguments: [String]) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--json": isJSON = true
            case "--synthetic": isSynthetic = true
            case "--traces":
                guard let path = rest.popFirst() else { return nil }
                paths.append(path)
            case "--requests-per-hour":
                guard let value = rest.popFirst().flatMap(Double.init), value > 0, value < 1e9 else { return nil }
                requestsPerHour = value
            case "--theta":
                guard let value = rest.popFirst().flatMap(Double.init), value > 0, value < 1e9 else { return nil }
                thetas.append(value)
            default: return nil
            }
        }
        if paths.isEmpty, !isSynthetic { return nil }
    }
}

/// Runs the polling benchmark and prints its figures.
///
/// - Parameter arguments: Those after `polling`.
/// - Returns: The exit status: 0, 1 when a file cannot be read, 64 for wrong arguments.
func runPollingBenchmark(arguments: [String]) -> Int32 {
    guard let options = PollingBenchmarkOptions(arguments: arguments) else {
        FileHandle.standardError.write(Data(PollingBenchmarkOptions.usage.utf8))
        return 64
    }
    var recordings = Recordings()
    for path in options.paths {
        do {
            try recordings.read(path)
        } catch {
            FileHandle.standardError.write(Data("freshet-bench: \(error)\n".utf8))
            return 1
        }
    }
    if recordings.isEmpty, !options.isSynthetic {
        FileHandle.standardError.write(Data("freshet-bench: no traces in the files\n".utf8))
        return 1
    }
    if options.isJSON {
        PollingJSON.print(recordings, options)
    } else {
        PollingReport.printTables(recordings, options)
    }
    return 0
}
