// `hook`: how an upstream signs its calls.

import Foundation
import FreshetCore

/// Reads how the calls of a source's upstream are signed. The secret is never shown.
struct SourceHooks {
    let context: DecodingContext

    /// The shortest secret, in bytes: 16 random ones cannot be guessed.
    static let minSecretBytes = 16
    private static let maxSecretBytes = 4 << 10
    /// What Standard Webhooks puts in front of a secret.
    private static let standardPrefix = Array("whsec_".utf8)

    func hook(of reader: SectionReader) -> SourceConfiguration.Hook? {
        guard let section = reader.section("hook", as: .sourceHook) else { return nil }
        let style = section.choice("style", of: SourceConfiguration.Hook.Style.self) ?? .standard
        guard let file = section.scalar("secret_file") else {
            if section.entry("secret_file") == nil {
                self.context.error(
                    section.path,
                    at: section.place,
                    "no secret",
                    fix: "add `secret_file`, with what the upstream signs with"
                )
            }
            return nil
        }
        let path = FilePath.resolve(file.text, from: FilePath.directory(of: file.place.file))
        var bytes: [UInt8]
        do throws(ConfigurationFiles.Failure) {
            bytes = try self.context.files.read(path, Self.maxSecretBytes, false)
        } catch {
            self.context.error(file.path, at: file.place, "\(file.shown) \(error.what)", fix: error.fix)
            return nil
        }
        while let last = bytes.last, last == 0x0A || last == 0x0D { bytes.removeLast() }
        guard let secret = Self.secret(bytes, style) else {
            self.context.error(
                file.path,
                at: file.place,
                "the file holds no secret of Standard Webhooks",
                fix: "it is `whsec_` and base64, as the sender shows it"
            )
            return nil
        }
        guard secret.count >= Self.minSecretBytes else {
            self.context.error(
                file.path,
                at: file.place,
                "the secret has \(secret.count) bytes and can be guessed",
                fix: "use at least \(Self.minSecretBytes), such as from `openssl rand -hex 32`"
            )
            return nil
        }
        return SourceConfiguration.Hook(style: style, secret: secret)
    }

    /// The bytes of the key; nil where the style has a form that these do not have.
    private static func secret(_ bytes: [UInt8], _ style: SourceConfiguration.Hook.Style) -> [UInt8]? {
        guard style == .standard else { return bytes }
        let text = bytes.starts(with: self.standardPrefix) ? Array(bytes.dropFirst(self.standardPrefix.count)) : bytes
        return Data(base64Encoded: Data(text)).map { Array($0) }
    }
}
