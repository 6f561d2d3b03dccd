// From nodes to the interface of the Streamdata.io SDK: `streamdata`.

import FreshetAccess
import FreshetCore

/// Decodes the section `streamdata`. Problems go to the context.
struct StreamdataDecoder {
    let context: DecodingContext

    /// The largest file of tokens.
    private static let maxTokenBytes = 16 << 20
    /// Entries of `allow`: each request is compared with all of them.
    static let maxEntries = 1000

    /// `defaults`: what is said there. `names`: of the sources.
    func decode(
        _ reader: SectionReader,
        defaults: SourceDefaults,
        sources names: Set<String>
    ) -> GatewayConfiguration.Streamdata? {
        let tokens = self.tokens(reader)
        let allow = self.allow(reader)
        if names.contains(StreamdataTarget.template) {
            self.context.error(
                SectionReader.join("sources", StreamdataTarget.template),
                at: reader.place,
                "the name of the instances of `streamdata`",
                fix: "rename the source"
            )
        }
        guard let tokens, let allow else { return nil }
        var streamdata = GatewayConfiguration.Streamdata(
            tokens: tokens,
            allow: allow,
            base: defaults.source.forTargets
        )
        streamdata.maxInstances = defaults.bounds.maxInstances ?? streamdata.maxInstances
        streamdata.maxInstancesPerToken = defaults.bounds.perCaller
        streamdata.linger = defaults.bounds.linger ?? streamdata.linger
        return streamdata
    }

    private func tokens(_ reader: SectionReader) -> StreamdataTokens? {
        guard let file = reader.scalar("tokens_file") else {
            if reader.entry("tokens_file") == nil {
                let fix = "add `tokens_file`, with a token a line"
                self.context.error(reader.path, at: reader.place, "no tokens_file", fix: fix)
            }
            return nil
        }
        let content: [UInt8]
        do throws(ConfigurationFiles.Failure) {
            let path = FilePath.resolve(file.text, from: FilePath.directory(of: file.place.file))
            content = try self.context.files.read(path, Self.maxTokenBytes, false)
        } catch {
            self.context.error(file.path, at: file.place, "\(file.shown) \(error.what)", fix: error.fix)
            return nil
        }
        do throws(StreamdataTokens.Problem) {
            let tokens = try StreamdataTokens(content)
            if tokens.isEmpty {
                let fix = "write a token a line; `freshet token key` makes one"
                self.context.error(file.path, at: file.place, "\(file.shown) holds no token", fix: fix)
                return nil
            }
            if let line = tokens.guessableLine {
                self.context.warning(
                    file.path,
                    at: file.place,
                    "line \(line) of \(file.shown): a token of less than \(StreamdataTokens.safeTokenBytes) bytes can be guessed",
                    fix: "make one by `freshet token key`"
                )
            }
            return tokens
        } catch {
            self.context.error(
                file.path,
                at: file.place,
                "line \(error.line) of \(file.shown): \(error.what)",
                fix: "write TOKEN, or TOKEN and a blank and its signing key"
            )
            return nil
        }
    }

    private func allow(_ reader: SectionReader) -> TargetList? {
        let values = reader.list("allow")
        guard !values.isEmpty else {
            if reader.entry("allow") == nil {
                let fix = "add `allow: [https://api.example.com/]`; without it nothing could be asked for"
                self.context.error(reader.path, at: reader.place, "no allow", fix: fix)
            }
            return nil
        }
        guard values.count <= Self.maxEntries else {
            self.context.error(
                SectionReader.join(reader.path, "allow"),
                at: reader.place(of: "allow"),
                "more than \(Self.maxEntries) entries",
                fix: "allow a path above several of them"
            )
            return nil
        }
        return TargetList(values.compactMap { self.entry($0) })
    }

    private func entry(_ value: ScalarValue) -> TargetList.Entry? {
        do throws(TargetAddress.Malformed) {
            let address = try TargetAddress(Array(value.text.utf8))
            guard address.query == nil else { throw TargetAddress.Malformed(what: "the URL has a query") }
            let isLocal = (try? URLText(value.text))?.isLocal ?? false
            return TargetList.Entry(address, isInside: isLocal || address.isLiteral)
        } catch {
            self.context.error(
                value.path,
                at: value.place,
                "\(value.shown): \(error.what)",
                fix: value.variables.isEmpty ? "write one such as https://api.example.com/public/" : nil
            )
            return nil
        }
    }
}
