// `freshet token key`: API keys that are long enough.

import ArgumentParser
import FreshetHTTP

struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make credentials.",
        subcommands: [Key.self]
    )

    struct Key: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "key",
            abstract: "Print a new API key, 256 bits at random.",
            discussion: """
                Write it to a file that only the gateway can read, and name the file in auth.keys:

                  (umask 077; freshet token key > secrets/mobile)
                """
        )

        func run() {
            Terminal.print(AdminKey.random().text)
        }
    }
}
