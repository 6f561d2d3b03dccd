// The table of settings as a manual and as a JSON Schema.

import JSON

package enum SettingManual {
    /// Every key that this version carries out, section by section.
    package static var text: String {
        var lines = [
            "The configuration is YAML. Unknown and duplicate keys are errors.",
            "Durations: 500ms, 5s, 1m30s, 1h. Sizes: 64KiB, 8MiB. ${VAR} and ${VAR:-default} stand for variables.",
        ]
        for (path, section) in SettingSection.all {
            lines.append("")
            lines.append(path.isEmpty ? "At the top level:" : "\(path):")
            for setting in section.settings where !setting.isPlanned {
                lines.append(
                    "  \(setting.name)  (\(setting.kind.name)\(setting.defaultText.map { ", default \($0)" } ?? ""))"
                )
                lines.append("      \(setting.meaning)")
            }
        }
        return lines.joined(separator: "\n")
    }
}

extension Setting.Kind {
    /// As the manual calls it.
    var name: String {
        switch self {
        case .duration: "duration"
        case .size: "size"
        case .count: "whole number"
        case .ratio: "number from 0 to 1"
        case .flag: "true or false"
        case .flagOr(let words): (["true", "false"] + words).joined(separator: " | ")
        case .text: "text"
        case .choice(let names): names.joined(separator: " | ")
        case .choiceOrOrigins(let names): (names + ["list of origins"]).joined(separator: " | ")
        case .pointer: "JSON Pointer"
        case .list: "list"
        case .expectation: "JSON Pointer, list of them, or mapping of them to values"
        case .mapping: "mapping"
        case .textOrMapping: "text, or mapping"
        case .body: "text, or mapping or list sent as JSON"
        }
    }
}

/// JSON Schema (draft 2020-12), for editors that complete and check as one types.
package enum SettingSchema {
    package static var text: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("$schema", "https://json-schema.org/draft/2020-12/schema")
            json.member("title", "Freshet configuration")
            self.writeMembers(of: .gateway, path: "", to: &json)
        }
        return json.text
    }

    private static func writeMembers(of section: SettingSection, path: String, to json: inout JSONWriter) {
        json.member("type", "object")
        json.member("additionalProperties", false)
        json.name("properties")
        json.object { json in
            for setting in section.settings where !setting.isPlanned {
                json.name(setting.name)
                json.object { self.write(setting, path: SectionReader.join(path, setting.name), to: &$0) }
            }
        }
    }

    private static func write(_ setting: Setting, path: String, to json: inout JSONWriter) {
        json.member("description", setting.meaning)
        if let text = setting.defaultText {
            switch setting.kind {
            case .flag, .flagOr, .count, .ratio: json.member("default", raw: Array(text.utf8))
            default: json.member("default", text)
            }
        }
        let variable = #"\$\{"#
        switch setting.kind {
        case .duration where setting.name == "interval":
            json.member("pattern", "^(adaptive|([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?|.*\(variable).*)$")
        case .duration:
            json.member("pattern", "^(([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?|.*\(variable).*)$")
        case .size: json.member("pattern", "^([0-9]+(B|KiB|MiB|GiB)|.*\(variable).*)$")
        case .count: json.member("type", raw: Array(#"["integer","string"]"#.utf8))
        case .ratio: json.member("type", raw: Array(#"["number","string"]"#.utf8))
        case .flag: json.member("type", raw: Array(#"["boolean","string"]"#.utf8))
        case .flagOr(let words):
            json.name("enum")
            json.array { json in
                json.raw(Array("true".utf8))
                json.raw(Array("false".utf8))
                (["true", "false"] + words).forEach { json.string($0) }
            }
        case .text: json.member("type", "string")
        case .choice(let names):
            json.name("enum")
            json.array { json in names.forEach { json.string($0) } }
        case .pointer: json.member("pattern", "^(/.*)?$")
        case .list:
            if let inner = SettingSection.all.first(where: { $0.path == "\(path)[]" })?.section {
                json.member("type", "array")
                json.name("items")
                json.object { self.writeMembers(of: inner, path: "\(path)[]", to: &$0) }
            } else {
                json.member("type", raw: Array(#"["array","string"]"#.utf8))
            }
        case .choiceOrOrigins: json.member("type", raw: Array(#"["array","string"]"#.utf8))
        case .expectation: json.member("type", raw: Array(#"["string","array","object"]"#.utf8))
        case .mapping: self.writeMapping(setting, path: path, to: &json)
        case .body: json.member("type", raw: Array(#"["string","array","object"]"#.utf8))
        case .textOrMapping:
            json.name("anyOf")
            json.array { json in
                json.object { $0.member("type", "string") }
                json.object { self.writeMapping(setting, path: path, to: &$0) }
            }
        }
    }

    private static func writeMapping(_ setting: Setting, path: String, to json: inout JSONWriter) {
        let inner = path == "defaults" ? SettingSection.source : SettingSection.all.first { $0.path == path }?.section
        if let inner {
            self.writeMembers(of: inner, path: path == "defaults" ? "sources.NAME" : path, to: &json)
        } else if path == "sources" {
            json.member("type", "object")
            json.name("propertyNames")
            json.object { $0.member("pattern", "^[a-z0-9][a-z0-9._-]*$") }
            json.name("additionalProperties")
            json.object { self.writeMembers(of: .source, path: "sources.NAME", to: &$0) }
        } else if let inner = SettingSection.all.first(where: { $0.path == "\(path).NAME" })?.section {
            json.member("type", "object")
            json.name("additionalProperties")
            json.object { self.writeMembers(of: inner, path: "\(path).NAME", to: &$0) }
        } else {
            json.member("type", "object")
        }
    }
}
