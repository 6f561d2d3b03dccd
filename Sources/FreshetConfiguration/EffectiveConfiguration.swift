// Every value in force and where it came from, for `freshet config show`.

import FreshetCore

/// The values that were set, and the defaults of the keys that were not.
package enum EffectiveConfiguration {
    package static func values(of loaded: LoadedConfiguration) -> [EffectiveValue] {
        let set = Set(loaded.effective.map(\.path))
        var values = loaded.effective
        func addDefaults(of section: SettingSection, under path: String, only names: Set<String>? = nil) {
            for setting in section.settings where names?.contains(setting.name) ?? true {
                let path = SectionReader.join(path, setting.name)
                guard let text = setting.defaultText, !set.contains(path) else { continue }
                values.append(EffectiveValue(path: path, text: text, origin: .default))
            }
        }
        for (path, section) in SettingSection.all where !path.hasPrefix("sources") {
            addDefaults(of: section, under: path)
        }
        for source in loaded.configuration.sources {
            let all = Set(SettingSection.source.settings.map(\.name))
            let names =
                source.template != nil
                ? all : source.isPolled ? all.subtracting(SettingSection.templateKeys) : PushedSourceRules.keys
            addDefaults(of: .source, under: "sources.\(source.name)", only: names)
        }
        // A default that every source takes was recorded once for each of them; its own line says no more.
        return Array(Set(values)).filter { !$0.path.hasPrefix("defaults.") }.sorted { $0.path < $1.path }
    }
}

extension EffectiveValue.Origin: CustomStringConvertible {
    package var description: String {
        switch self {
        case .default: "default"
        case .file(let place): "\(place)"
        case .environment(let names, let place): "\(place), from \(names.map { "$\($0)" }.joined(separator: ", "))"
        case .commandLine: "command line"
        }
    }
}
