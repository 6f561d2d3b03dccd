import HTTPFields
import JSON
import Testing

@testable import FreshetCore

/// The first page of a public API, in the shape that its documentation shows, and where the second is.
struct PagedAPI: Sendable, CustomTestStringConvertible {
    var name: String
    var url: String
    var link: String?
    var body: String
    var items: String
    /// The URL of the next page; `nil` where the page must be refused, since it says there is more and not how.
    var next: String?

    var testDescription: String { self.name }

    init(_ name: String, _ url: String, link: String? = nil, _ body: String, items: String, next: String?) {
        (self.name, self.url, self.link, self.body, self.items, self.next) = (name, url, link, body, items, next)
    }

    var response: ExchangeResponse {
        var fields = [HeaderField(name: Array("content-type".utf8), value: Array("application/json".utf8))]
        if let link { fields.append(HeaderField(name: Array("link".utf8), value: Array(link.utf8))) }
        return ExchangeResponse(status: 200, fields: fields, body: Array(self.body.utf8))
    }

    static let all: [PagedAPI] = [
        PagedAPI(
            "GitHub, issues",
            "https://api.github.com/repos/o/r/issues",
            link: #"<https://api.github.com/repositories/1/issues?page=2>; rel="next", "#
                + #"<https://api.github.com/repositories/1/issues?page=7>; rel="last""#,
            #"[{"id":1,"number":1347,"labels":[]}]"#,
            items: "",
            next: "https://api.github.com/repositories/1/issues?page=2"
        ),
        PagedAPI(
            "GitHub, search",
            "https://api.github.com/search/issues?q=x",
            link: #"<https://api.github.com/search/issues?q=x&page=2>; rel="next""#,
            #"{"total_count":280,"incomplete_results":false,"items":[{"id":35802}]}"#,
            items: "/items",
            next: "https://api.github.com/search/issues?q=x&page=2"
        ),
        PagedAPI(
            "GitLab",
            "https://gitlab.example.com/api/v4/projects/8/issues",
            link: #"<https://gitlab.example.com/api/v4/projects/8/issues?page=2&per_page=3>; rel="next", "#
                + #"<https://gitlab.example.com/api/v4/projects/8/issues?page=1&per_page=3>; rel="first""#,
            #"[{"id":1,"iid":1}]"#,
            items: "",
            next: "https://gitlab.example.com/api/v4/projects/8/issues?page=2&per_page=3"
        ),
        PagedAPI(
            "Stripe",
            "https://api.stripe.com/v1/customers?limit=2",
            #"{"object":"list","url":"/v1/customers","has_more":true,"data":[{"id":"cus_4Q","object":"customer"},"#
                + #"{"id":"cus_NffrFeUfNV2Hib","object":"customer"}]}"#,
            items: "/data",
            next: "https://api.stripe.com/v1/customers?limit=2&starting_after=cus_NffrFeUfNV2Hib"
        ),
        PagedAPI(
            "Shopify",
            "https://shop.myshopify.com/admin/api/2024-01/products.json?limit=1",
            link: "<https://shop.myshopify.com/admin/api/2024-01/products.json?page_info=hij&limit=1>; rel=next",
            #"{"products":[{"id":1,"title":"x","variants":[]}]}"#,
            items: "/products",
            next: "https://shop.myshopify.com/admin/api/2024-01/products.json?page_info=hij&limit=1"
        ),
        PagedAPI(
            "Jira, search",
            "https://x.atlassian.net/rest/api/2/search?jql=a",
            #"{"expand":"names,schema","startAt":0,"maxResults":2,"total":6,"issues":[{"id":"1"},{"id":"2"}]}"#,
            items: "/issues",
            next: "https://x.atlassian.net/rest/api/2/search?jql=a&startAt=2"
        ),
        PagedAPI(
            "Jira, projects",
            "https://x.atlassian.net/rest/api/3/project/search",
            #"{"self":"https://x.atlassian.net/rest/api/3/project/search?startAt=0&maxResults=2","#
                + #""nextPage":"https://x.atlassian.net/rest/api/3/project/search?startAt=2&maxResults=2","#
                + #""maxResults":2,"startAt":0,"total":7,"isLast":false,"values":[{"id":"1"},{"id":"2"}]}"#,
            items: "/values",
            next: "https://x.atlassian.net/rest/api/3/project/search?startAt=2&maxResults=2"
        ),
        PagedAPI(
            "Jira, JQL by token",
            "https://x.atlassian.net/rest/api/3/search/jql?jql=a",
            #"{"issues":[{"id":"10000"}],"nextPageToken":"CAEaAggD","isLast":false}"#,
            items: "/issues",
            next: "https://x.atlassian.net/rest/api/3/search/jql?jql=a&nextPageToken=CAEaAggD"
        ),
        PagedAPI(
            "OData",
            "https://services.odata.org/V4/People",
            #"{"@odata.context":"x","value":[{"UserName":"a"}],"#
                + #""@odata.nextLink":"https://services.odata.org/V4/People?%24skiptoken=8"}"#,
            items: "/value",
            next: "https://services.odata.org/V4/People?%24skiptoken=8"
        ),
        PagedAPI(
            "Microsoft Graph",
            "https://graph.microsoft.com/v1.0/users?$top=1",
            #"{"@odata.context":"c","@odata.nextLink":"https://graph.microsoft.com/v1.0/users?$top=1&$skiptoken=R","#
                + #""value":[{"id":"1","businessPhones":[]}]}"#,
            items: "/value",
            next: "https://graph.microsoft.com/v1.0/users?$top=1&$skiptoken=R"
        ),
        PagedAPI(
            "JSON:API",
            "http://example.com/articles",
            #"{"meta":{"totalPages":13},"data":[{"type":"articles","id":"3"}],"included":[{"type":"people","id":"9"}],"#
                + #""links":{"self":"http://example.com/articles?page[number]=3","#
                + #""next":"http://example.com/articles?page[number]=4"}}"#,
            items: "/data",
            next: "http://example.com/articles?page[number]=4"
        ),
        PagedAPI(
            "JSON:API, link objects",
            "http://example.com/articles",
            #"{"data":[{"type":"articles","id":"3"}],"links":{"next":{"href":"/articles?page[after]=abc"}}}"#,
            items: "/data",
            next: "http://example.com/articles?page[after]=abc"
        ),
        PagedAPI(
            "Slack",
            "https://slack.com/api/users.list?limit=2",
            #"{"ok":true,"members":[{"id":"U1"},{"id":"U2"}],"cache_ts":1,"#
                + #""response_metadata":{"next_cursor":"dXNlcjpVMEc5V0ZYTlo="}}"#,
            items: "/members",
            next: "https://slack.com/api/users.list?limit=2&cursor=dXNlcjpVMEc5V0ZYTlo%3D"
        ),
        PagedAPI(
            "Zendesk, cursor",
            "https://example.zendesk.com/api/v2/tickets.json?page[size]=1",
            #"{"tickets":[{"id":1}],"meta":{"has_more":true,"after_cursor":"xxx","before_cursor":"yyy"},"#
                + #""links":{"prev":"https://example.zendesk.com/a","#
                + #""next":"https://example.zendesk.com/api/v2/tickets.json?page[size]=1&page[after]=xxx"}}"#,
            items: "/tickets",
            next: "https://example.zendesk.com/api/v2/tickets.json?page[size]=1&page[after]=xxx"
        ),
        PagedAPI(
            "Zendesk, offset",
            "https://account.zendesk.com/api/v2/users.json",
            #"{"users":[{"id":1}],"count":1234,"next_page":"https://account.zendesk.com/api/v2/users.json?page=2","#
                + #""previous_page":null}"#,
            items: "/users",
            next: "https://account.zendesk.com/api/v2/users.json?page=2"
        ),
        PagedAPI(
            "Google Drive",
            "https://www.googleapis.com/drive/v3/files",
            #"{"kind":"drive#fileList","nextPageToken":"~!!~AI9F","incompleteSearch":false,"files":[{"id":"a"}]}"#,
            items: "/files",
            next: "https://www.googleapis.com/drive/v3/files?pageToken=~%21%21~AI9F"
        ),
        PagedAPI(
            "YouTube",
            "https://www.googleapis.com/youtube/v3/search?part=snippet",
            #"{"kind":"youtube#searchListResponse","etag":"e","nextPageToken":"CAUQAA","regionCode":"DE","#
                + #""pageInfo":{"totalResults":1000000,"resultsPerPage":5},"items":[{"id":{"videoId":"v"}}]}"#,
            items: "/items",
            next: "https://www.googleapis.com/youtube/v3/search?part=snippet&pageToken=CAUQAA"
        ),
        PagedAPI(
            "Notion",
            "https://api.notion.com/v1/users?page_size=1",
            #"{"object":"list","results":[{"object":"user","id":"d40e"}],"next_cursor":"33e19cb9-751f","#
                + #""has_more":true,"type":"user","user":{}}"#,
            items: "/results",
            next: "https://api.notion.com/v1/users?page_size=1&start_cursor=33e19cb9-751f"
        ),
        PagedAPI(
            "Airtable",
            "https://api.airtable.com/v0/app/Table",
            #"{"records":[{"id":"rec1","createdTime":"t","fields":{}}],"offset":"itr1/rec2"}"#,
            items: "/records",
            next: "https://api.airtable.com/v0/app/Table?offset=itr1%2Frec2"
        ),
        PagedAPI(
            "HubSpot",
            "https://api.hubapi.com/crm/v3/objects/contacts?limit=1",
            #"{"results":[{"id":"512","properties":{}}],"paging":{"next":{"after":"525","link":"?after=525"}}}"#,
            items: "/results",
            next: "https://api.hubapi.com/crm/v3/objects/contacts?limit=1&after=525"
        ),
        PagedAPI(
            "Twitch",
            "https://api.twitch.tv/helix/streams",
            #"{"data":[{"id":"1","tag_ids":[]}],"pagination":{"cursor":"eyJiIjp7IkN1cnNvciI6"}}"#,
            items: "/data",
            next: "https://api.twitch.tv/helix/streams?after=eyJiIjp7IkN1cnNvciI6"
        ),
        PagedAPI(
            "X",
            "https://api.x.com/2/users/1/tweets",
            #"{"data":[{"id":"1","text":"x"}],"meta":{"oldest_id":"1","newest_id":"1","result_count":1,"#
                + #""next_token":"7140dibdnow9c7btw3w29grvxfcgvpb9n9coehpk7xz5i"}}"#,
            items: "/data",
            next: "https://api.x.com/2/users/1/tweets?pagination_token=7140dibdnow9c7btw3w29grvxfcgvpb9n9coehpk7xz5i"
        ),
        PagedAPI(
            "Facebook Graph",
            "https://graph.facebook.com/v19.0/me/albums?limit=25",
            #"{"data":[{"id":"1"}],"paging":{"cursors":{"after":"MTAx","before":"NDMy"},"#
                + #""next":"https://graph.facebook.com/v19.0/me/albums?limit=25&after=MTAx"}}"#,
            items: "/data",
            next: "https://graph.facebook.com/v19.0/me/albums?limit=25&after=MTAx"
        ),
        PagedAPI(
            "Spotify",
            "https://api.spotify.com/v1/me/shows?limit=1",
            #"{"href":"h","items":[{"show":{}}],"limit":1,"next":"https://api.spotify.com/v1/me/shows?offset=1&limit=1","#
                + #""offset":0,"previous":null,"total":4}"#,
            items: "/items",
            next: "https://api.spotify.com/v1/me/shows?offset=1&limit=1"
        ),
        PagedAPI(
            "Django REST framework",
            "https://api.example.org/accounts/?page=4",
            #"{"count":1023,"next":"https://api.example.org/accounts/?page=5","#
                + #""previous":"https://api.example.org/accounts/?page=3","results":[{"id":1}]}"#,
            items: "/results",
            next: "https://api.example.org/accounts/?page=5"
        ),
        PagedAPI(
            "Laravel",
            "http://example.com/users",
            #"{"data":[{"id":1}],"links":{"first":"f","last":"l","prev":null,"next":"http://example.com/users?page=2"},"#
                + #""meta":{"current_page":1,"from":1,"last_page":3,"path":"p","per_page":1,"to":1,"total":3}}"#,
            items: "/data",
            next: "http://example.com/users?page=2"
        ),
        PagedAPI(
            "Spring HATEOAS",
            "http://localhost:8080/people",
            #"{"_embedded":{"people":[{"name":"a"}]},"_links":{"self":{"href":"s"},"#
                + #""next":{"href":"http://localhost:8080/people?page=1&size=1"}},"#
                + #""page":{"size":1,"totalElements":50,"totalPages":50,"number":0}}"#,
            items: "/_embedded/people",
            next: "http://localhost:8080/people?page=1&size=1"
        ),
        PagedAPI(
            "Spring Data",
            "http://localhost:8080/people?size=1",
            #"{"content":[{"id":1}],"pageable":{"sort":{},"offset":0,"pageNumber":0},"last":false,"totalPages":4,"#
                + #""totalElements":4,"size":1,"number":0,"first":true,"numberOfElements":1,"empty":false}"#,
            items: "/content",
            next: "http://localhost:8080/people?size=1&page=1"
        ),
        PagedAPI(
            "Salesforce",
            "https://x.my.salesforce.com/services/data/v59.0/query?q=SELECT",
            #"{"totalSize":3214,"done":false,"nextRecordsUrl":"/services/data/v59.0/query/01gRM-2000","#
                + #""records":[{"attributes":{},"Id":"001"}]}"#,
            items: "/records",
            next: "https://x.my.salesforce.com/services/data/v59.0/query/01gRM-2000"
        ),
        PagedAPI(
            "PagerDuty",
            "https://api.pagerduty.com/incidents",
            #"{"incidents":[{"id":"P1"},{"id":"P2"}],"limit":2,"offset":0,"total":null,"more":true}"#,
            items: "/incidents",
            next: "https://api.pagerduty.com/incidents?offset=2"
        ),
        PagedAPI(
            "DigitalOcean",
            "https://api.digitalocean.com/v2/droplets",
            #"{"droplets":[{"id":1}],"links":{"pages":{"last":"https://api.digitalocean.com/v2/droplets?page=3","#
                + #""next":"https://api.digitalocean.com/v2/droplets?page=2"}},"meta":{"total":3}}"#,
            items: "/droplets",
            next: "https://api.digitalocean.com/v2/droplets?page=2"
        ),
        PagedAPI(
            "Intercom",
            "https://api.intercom.io/contacts",
            #"{"type":"list","data":[{"id":"1"}],"total_count":20,"pages":{"type":"pages","page":1,"per_page":1,"#
                + #""total_pages":20,"next":{"page":2,"starting_after":"WzE3"}}}"#,
            items: "/data",
            next: "https://api.intercom.io/contacts?starting_after=WzE3"
        ),
        PagedAPI(
            "Bitbucket Cloud",
            "https://api.bitbucket.org/2.0/repositories/x",
            #"{"size":142,"page":1,"pagelen":10,"next":"https://api.bitbucket.org/2.0/repositories/x?page=2","#
                + #""values":[{"uuid":"u"}]}"#,
            items: "/values",
            next: "https://api.bitbucket.org/2.0/repositories/x?page=2"
        ),
        PagedAPI(
            "Bitbucket Server",
            "https://git.example.com/rest/api/1.0/projects",
            #"{"size":3,"limit":3,"isLastPage":false,"values":[{"id":1},{"id":2},{"id":3}],"start":0,"filter":null,"#
                + #""nextPageStart":3}"#,
            items: "/values",
            next: "https://git.example.com/rest/api/1.0/projects?start=3"
        ),
        PagedAPI(
            "Asana",
            "https://app.asana.com/api/1.0/tasks?project=1",
            #"{"data":[{"gid":"1"}],"next_page":{"offset":"eyJ0","path":"/tasks?offset=eyJ0","#
                + #""uri":"https://app.asana.com/api/1.0/tasks?project=1&offset=eyJ0"}}"#,
            items: "/data",
            next: "https://app.asana.com/api/1.0/tasks?project=1&offset=eyJ0"
        ),
        PagedAPI(
            "Square",
            "https://connect.squareup.com/v2/customers",
            #"{"customers":[{"id":"JDK"}],"cursor":"EAYa9J"}"#,
            items: "/customers",
            next: "https://connect.squareup.com/v2/customers?cursor=EAYa9J"
        ),
        PagedAPI(
            "Contentful",
            "https://cdn.contentful.com/spaces/s/entries",
            #"{"sys":{"type":"Array"},"total":1256,"skip":0,"limit":100,"items":[{"sys":{}},{"sys":{}}]}"#,
            items: "/items",
            next: "https://cdn.contentful.com/spaces/s/entries?skip=2"
        ),
        PagedAPI(
            "Confluence",
            "https://x.atlassian.net/wiki/rest/api/content?limit=2",
            #"{"results":[{"id":"1"},{"id":"2"}],"start":0,"limit":2,"size":2,"#
                + #""_links":{"self":"s","next":"/wiki/rest/api/content?limit=2&start=2","base":"b","context":""}}"#,
            items: "/results",
            next: "https://x.atlassian.net/wiki/rest/api/content?limit=2&start=2"
        ),
        PagedAPI(
            "Calendly",
            "https://api.calendly.com/scheduled_events",
            #"{"collection":[{"uri":"u"}],"pagination":{"count":1,"#
                + #""next_page":"https://api.calendly.com/scheduled_events?count=1&page_token=sNjq","#
                + #""next_page_token":"sNjq","previous_page":null}}"#,
            items: "/collection",
            next: "https://api.calendly.com/scheduled_events?count=1&page_token=sNjq"
        ),
        PagedAPI(
            "TMDB",
            "https://api.themoviedb.org/3/movie/popular",
            #"{"page":1,"results":[{"id":1,"genre_ids":[]}],"total_pages":500,"total_results":10000}"#,
            items: "/results",
            next: "https://api.themoviedb.org/3/movie/popular?page=2"
        ),
        PagedAPI(
            "Cloudflare",
            "https://api.cloudflare.com/client/v4/zones",
            #"{"result":[{"id":"z"}],"success":true,"errors":[],"messages":[],"#
                + #""result_info":{"page":1,"per_page":1,"count":1,"total_count":3,"total_pages":3}}"#,
            items: "/result",
            next: "https://api.cloudflare.com/client/v4/zones?page=2"
        ),
        PagedAPI(
            "Kubernetes",
            "https://k8s/api/v1/pods?limit=1",
            #"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"10245","continue":"ENC","#
                + #""remainingItemCount":5},"items":[{"metadata":{}}]}"#,
            items: "/items",
            next: "https://k8s/api/v1/pods?limit=1&continue=ENC"
        ),
        PagedAPI(
            "Rick and Morty",
            "https://rickandmortyapi.com/api/character",
            #"{"info":{"count":826,"pages":42,"next":"https://rickandmortyapi.com/api/character?page=2","prev":null},"#
                + #""results":[{"id":1}]}"#,
            items: "/results",
            next: "https://rickandmortyapi.com/api/character?page=2"
        ),
        PagedAPI(
            "Mailchimp: says how many, and not how to get them",
            "https://us1.api.mailchimp.com/3.0/lists",
            #"{"lists":[{"id":"1"}],"total_items":12,"constraints":{},"_links":[{"rel":"self"}]}"#,
            items: "/lists",
            next: nil
        ),
        PagedAPI(
            "npm search: says how many, and not how to get them",
            "https://registry.example/-/v1/search?text=x",
            #"{"objects":[{"package":{}}],"total":64,"time":"t"}"#,
            items: "/objects",
            next: nil
        ),
        PagedAPI(
            "Discord: says nothing, and sends as many as were asked for",
            "https://discord.com/api/guilds/1/members?limit=2",
            #"[{"user":{"id":"1"}},{"user":{"id":"2"}}]"#,
            items: "",
            next: nil
        ),
    ]
}

/// What the answers of last and only pages look like.
let lastPages: [(String, String, String)] = [
    ("Django REST framework", "https://a/x", #"{"count":1,"next":null,"previous":null,"results":[{"id":1}]}"#),
    ("Stripe", "https://a/x?limit=1", #"{"object":"list","url":"/v1/x","has_more":false,"data":[{"id":"a"}]}"#),
    ("Notion", "https://a/x", #"{"object":"list","results":[{"id":"a"}],"next_cursor":null,"has_more":false}"#),
    ("Slack", "https://a/x", #"{"ok":true,"members":[{"id":"U"}],"response_metadata":{"next_cursor":""}}"#),
    ("Twitch", "https://a/x", #"{"data":[{"id":"1"}],"pagination":{}}"#),
    ("HubSpot", "https://a/x", #"{"results":[{"id":"512"}]}"#),
    ("Airtable", "https://a/x", #"{"records":[{"id":"rec1"}]}"#),
    ("Google", "https://a/x", #"{"kind":"k","items":[{"id":"a"}]}"#),
    ("Jira", "https://a/x", #"{"startAt":0,"maxResults":50,"total":2,"issues":[{"id":"1"},{"id":"2"}]}"#),
    (
        "Laravel", "https://a/x",
        #"{"data":[{"id":1}],"links":{"next":null},"meta":{"current_page":1,"last_page":1,"total":1}}"#
    ),
    ("DigitalOcean", "https://a/x", #"{"droplets":[{"id":1}],"links":{},"meta":{"total":1}}"#),
    ("Facebook", "https://a/x", #"{"data":[{"id":"1"}],"paging":{"cursors":{"after":"MTAx","before":"NDMy"}}}"#),
    ("Salesforce", "https://a/x", #"{"totalSize":1,"done":true,"records":[{"Id":"001"}]}"#),
    (
        "Spring Data", "https://a/x",
        #"{"content":[{"id":1}],"last":true,"totalPages":1,"totalElements":1,"number":0,"first":true}"#
    ),
    ("PagerDuty", "https://a/x", #"{"incidents":[{"id":"P1"}],"limit":25,"offset":0,"total":null,"more":false}"#),
    ("an array", "https://a/x", #"[{"id":1},{"id":2}]"#),
]
