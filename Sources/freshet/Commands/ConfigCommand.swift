// `freshet config show|docs|schema`: what is in force, and what could be.

import ArgumentParser
import FreshetConfiguration

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Show the configuration, its manual, or its JSON Schema.",
        discussion: """
            Example:
              freshet config show --config freshet.yaml
            """,
        subcommands: [ConfigShowCommand.self, ConfigDocsCommand.self, ConfigSchemaCommand.self]
    )
}

struct ConfigShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show every value in force and where it came from; secrets are redacted.",
        discussion: """
            Example:
              freshet config show | grep -v default
            """
    )

    @OptionGroup var configuration: ConfigurationOptions

    func run() async throws {
        do throws(StartFailure) {
            let loaded = try self.configuration.load()
            for value in EffectiveConfiguration.values(of: loaded) {
                Terminal.print("\(value.path) = \(value.text.escapingControls())  \(Colour.faint("# \(value.origin)"))")
            }
        } catch {
            try error.exit()
        }
    }
}

struct ConfigDocsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "docs",
        abstract: "The manual of the configuration file.",
        discussion: """
            Example:
              freshet config docs | less
            """
    )

    func run() async throws {
        Terminal.print(SettingManual.text)
    }
}

struct ConfigSchemaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "The JSON Schema of the configuration file, for editors.",
        discussion: """
            Example:
              freshet config schema > freshet.schema.json
            """
    )

    func run() async throws {
        Terminal.print(String(decoding: SettingSchema.text, as: UTF8.self))
    }
}
