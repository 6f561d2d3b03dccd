// `freshet config show|docs|schema`: what is in force, and what could be.

import ArgumentParser
import FreshetCore
import JSON

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Show the configuration, its manual, or its JSON Schema.",
        subcommands: [ConfigShowCommand.self, ConfigDocsCommand.self, ConfigSchemaCommand.self]
    )
}

struct ConfigShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show every value in force and where it came from; secrets are redacted."
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

/// The values that were set, and the defaults of the keys that were not.
enum EffectiveConfiguration {
    static func values(of loaded: LoadedConfiguration) -> [EffectiveValue] {
        let set = Set(loaded.effective.map(\.path))
        var values = loaded.effective
        func addDefaults(of section: SettingSection, under path: String) {
            for setting in section.settings {
                let path = SectionReader.join(path, setting.name)
                guard let standard = setting.standard, !set.contains(path) else { continue }
                values.append(EffectiveValue(path: path, text: standard, origin: .standard))
            }
        }
        for (path, section) in SettingSection.all where !path.hasPrefix("sources") {
            addDefaults(of: section, under: path)
        }
        for source in loaded.configuration.sources {
            addDefaults(of: .source, under: "sources.\(source.name)")
        }
        // A default that every source takes was recorded once for each of them; its own line says no more.
        return Array(Set(values)).filter { !$0.path.hasPrefix("defaults.") }.sorted { $0.path < $1.path }
    }
}

extension EffectiveValue.Origin: CustomStringConvertible {
    var description: String {
        switch self {
        case .standard: "default"
        case .file(let place): "\(place)"
        case .environment(let names, let place): "\(place), from \(names.map { "$\($0)" }.joined(separator: ", "))"
        case .commandLine: "command line"
        }
    }
}

struct ConfigDocsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "docs",
        abstract: "The manual of the configuration file."
    )

    func run() async throws {
        Terminal.print(SettingManual.text)
    }
}

struct ConfigSchemaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "The JSON Schema of the configuration file, for editors."
    )

    func run() async throws {
        Terminal.print(String(decoding: SettingSchema.text, as: UTF8.self))
    }
}
