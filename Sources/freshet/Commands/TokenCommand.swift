// `freshet token`: makes keys and tokens, and shows what they say.

import ArgumentParser
import FreshetHTTP

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make and inspect credentials.",
        discussion: """
            Example:
              freshet token key > secrets/mobile
            """,
        subcommands: [Key.self, TokenNewCommand.self, TokenInspectCommand.self]
    )

    struct Key: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "key",
            abstract: "Print a new API key, 256 bits at random.",
            discussion: """
                Write it to a file that only the gateway can read, and name the file in auth.keys.

                Example:
                  (umask 077; freshet token key > secrets/mobile)
                """
        )

        func run() {
            Terminal.print(AdminKey.random().text)
        }
    }
}
