// The command line's root: what `freshet --help` teaches.

import ArgumentParser

@main
struct FreshetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "freshet",
        abstract: "Point it at a REST API, get a live, resumable event stream.",
        discussion: """
            Freshet polls REST APIs, finds what changed, and sends the changes to any number of subscribers as \
            Server-Sent Events. A subscriber that reconnects gets exactly what it missed.

            See it work, with no network:
              freshet demo

            Watch one API:
              freshet try https://api.example.com/rates

            Get a configuration for it, and see what is wasteful:
              freshet init https://api.example.com/rates -o freshet.yaml
              freshet doctor

            Run a gateway:
              freshet serve https://api.example.com/rates
              freshet serve --config freshet.yaml
              curl -N http://127.0.0.1:8080/v1/streams/rates

            Exit codes: 0 fine, 1 start-up or configuration failure, 2 forced to quit by a second signal, \
            3 unclean shutdown, 64 wrong usage.
            """,
        version: FreshetVersion.current,
        subcommands: [
            ServeCommand.self, TryCommand.self, DemoCommand.self, InitCommand.self, DoctorCommand.self,
            ValidateCommand.self, TailCommand.self, TypesCommand.self, RecordCommand.self, ReplayCommand.self,
            ConfigCommand.self, HealthcheckCommand.self, TokenCommand.self,
            ReloadCommand.self, RestartCommand.self, LogCommand.self,
        ]
    )
}

enum FreshetVersion {
    /// As `freshet --version` prints it.
    static let current = "0.1.0"
}
