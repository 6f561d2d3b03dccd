// What a GraphQL answer must hold: a status of 200 says nothing, since errors come with it too.

import JSON

/// Judges the answer to a GraphQL request (GraphQL specification, October 2021, §7.1).
enum GraphQLAnswer {
    /// Why an answer brings no value; `nil` where it does. `errors` without `data` is a failed poll, and never an emptied
    /// collection. What the errors say is the upstream's text, and may repeat what the request held, so it is not shown.
    static func failure(in document: Document, _ rule: SourceConfiguration.GraphQL) -> UpstreamError? {
        let errors = document.root["errors"]?.count ?? 0
        let hasData = document.root["data"].map { !$0.isNull } ?? false
        let shown = errors == 1 ? "an error" : "\(errors) errors"
        guard hasData else {
            let what = errors > 0 ? "with \(shown) and no data" : "without data; a GraphQL answer has a member `data`"
            return UpstreamError(.unexpected, "the upstream answered \(what)")
        }
        guard errors > 0, !rule.takesPartialData else { return nil }
        return UpstreamError(
            .unexpected,
            "the upstream answered with \(shown) beside the data, so that parts of it are missing; "
                + "`graphql: {partial: true}` takes what there is"
        )
    }
}
