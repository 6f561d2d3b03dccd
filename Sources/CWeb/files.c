// `#embed` takes a file into the program as fast as it is read, and the compiler notes that the object depends on it. A
// resource of the package (`.embedInCode`) becomes a Swift array literal instead: 12 s of compiling for 85 KB.

#include "CWeb.h"

// A part of C23, and an extension before.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char openapi_json[] = {
#embed "openapi.json"
};
static const unsigned char docs_docs_css[] = {
#embed "docs/docs.css"
};
static const unsigned char docs_docs_js[] = {
#embed "docs/docs.js"
};
static const unsigned char docs_index_html[] = {
#embed "docs/index.html"
};
static const unsigned char page_index_html[] = {
#embed "page/index.html"
};
static const unsigned char page_page_css[] = {
#embed "page/page.css"
};
static const unsigned char page_page_js[] = {
#embed "page/page.js"
};
static const unsigned char page_page_svg[] = {
#embed "page/page.svg"
};
static const unsigned char client_events_js[] = {
#embed "client/events.js"
};
static const unsigned char page_changes_js[] = {
#embed "page/changes.js"
};
static const unsigned char page_elements_js[] = {
#embed "page/elements.js"
};
static const unsigned char page_events_js[] = {
#embed "page/events.js"
};
static const unsigned char page_gateway_js[] = {
#embed "page/gateway.js"
};
static const unsigned char page_overview_js[] = {
#embed "page/overview.js"
};
static const unsigned char page_page_worker_js[] = {
#embed "page/page.worker.js"
};
static const unsigned char page_poll_js[] = {
#embed "page/poll.js"
};
static const unsigned char page_rows_js[] = {
#embed "page/rows.js"
};
static const unsigned char page_snippets_js[] = {
#embed "page/snippets.js"
};
static const unsigned char page_source_js[] = {
#embed "page/source.js"
};
static const unsigned char page_tree_js[] = {
#embed "page/tree.js"
};
static const unsigned char page_webhooks_js[] = {
#embed "page/webhooks.js"
};
static const unsigned char page_words_js[] = {
#embed "page/words.js"
};
static const unsigned char demo_board_html[] = {
#embed "demo/board.html"
};
static const unsigned char demo_board_css[] = {
#embed "demo/board.css"
};
static const unsigned char demo_board_js[] = {
#embed "demo/board.js"
};
static const unsigned char demo_decision_js[] = {
#embed "demo/decision.js"
};
static const unsigned char client_feed_js[] = {
#embed "client/feed.js"
};
static const unsigned char client_freshet_d_ts[] = {
#embed "client/freshet.d.ts"
};
static const unsigned char client_freshet_js[] = {
#embed "client/freshet.js"
};
static const unsigned char client_json_js[] = {
#embed "client/json.js"
};
static const unsigned char client_mobx_d_ts[] = {
#embed "client/mobx.d.ts"
};
static const unsigned char client_mobx_js[] = {
#embed "client/mobx.js"
};
static const unsigned char client_offline_d_ts[] = {
#embed "client/offline.d.ts"
};
static const unsigned char client_offline_js[] = {
#embed "client/offline.js"
};
static const unsigned char client_push_d_ts[] = {
#embed "client/push.d.ts"
};
static const unsigned char client_push_js[] = {
#embed "client/push.js"
};
static const unsigned char client_react_d_ts[] = {
#embed "client/react.d.ts"
};
static const unsigned char client_react_js[] = {
#embed "client/react.js"
};
static const unsigned char client_redux_d_ts[] = {
#embed "client/redux.d.ts"
};
static const unsigned char client_redux_js[] = {
#embed "client/redux.js"
};
static const unsigned char client_socket_js[] = {
#embed "client/socket.js"
};
static const unsigned char client_source_js[] = {
#embed "client/source.js"
};
static const unsigned char client_stream_js[] = {
#embed "client/stream.js"
};
static const unsigned char client_tabs_js[] = {
#embed "client/tabs.js"
};
static const unsigned char client_validate_d_ts[] = {
#embed "client/validate.d.ts"
};
static const unsigned char client_validate_js[] = {
#embed "client/validate.js"
};
static const unsigned char client_verdict_js[] = {
#embed "client/verdict.js"
};
static const unsigned char client_vue_d_ts[] = {
#embed "client/vue.d.ts"
};
static const unsigned char client_vue_js[] = {
#embed "client/vue.js"
};
static const unsigned char client_writes_js[] = {
#embed "client/writes.js"
};

#define FILE_OF(name, bytes) {name, bytes, sizeof bytes}

static const struct web_file files[] = {
    FILE_OF("openapi.json", openapi_json),
    FILE_OF("docs/docs.css", docs_docs_css),
    FILE_OF("docs/docs.js", docs_docs_js),
    FILE_OF("docs/index.html", docs_index_html),
    FILE_OF("page/index.html", page_index_html),
    FILE_OF("page/page.css", page_page_css),
    FILE_OF("page/page.js", page_page_js),
    FILE_OF("page/page.svg", page_page_svg),
    FILE_OF("client/events.js", client_events_js),
    FILE_OF("page/changes.js", page_changes_js),
    FILE_OF("page/elements.js", page_elements_js),
    FILE_OF("page/events.js", page_events_js),
    FILE_OF("page/gateway.js", page_gateway_js),
    FILE_OF("page/overview.js", page_overview_js),
    FILE_OF("page/page.worker.js", page_page_worker_js),
    FILE_OF("page/poll.js", page_poll_js),
    FILE_OF("page/rows.js", page_rows_js),
    FILE_OF("page/snippets.js", page_snippets_js),
    FILE_OF("page/source.js", page_source_js),
    FILE_OF("page/tree.js", page_tree_js),
    FILE_OF("page/webhooks.js", page_webhooks_js),
    FILE_OF("page/words.js", page_words_js),
    FILE_OF("demo/board.html", demo_board_html),
    FILE_OF("demo/board.css", demo_board_css),
    FILE_OF("demo/board.js", demo_board_js),
    FILE_OF("demo/decision.js", demo_decision_js),
    FILE_OF("client/feed.js", client_feed_js),
    FILE_OF("client/freshet.d.ts", client_freshet_d_ts),
    FILE_OF("client/freshet.js", client_freshet_js),
    FILE_OF("client/json.js", client_json_js),
    FILE_OF("client/mobx.d.ts", client_mobx_d_ts),
    FILE_OF("client/mobx.js", client_mobx_js),
    FILE_OF("client/offline.d.ts", client_offline_d_ts),
    FILE_OF("client/offline.js", client_offline_js),
    FILE_OF("client/push.d.ts", client_push_d_ts),
    FILE_OF("client/push.js", client_push_js),
    FILE_OF("client/react.d.ts", client_react_d_ts),
    FILE_OF("client/react.js", client_react_js),
    FILE_OF("client/redux.d.ts", client_redux_d_ts),
    FILE_OF("client/redux.js", client_redux_js),
    FILE_OF("client/socket.js", client_socket_js),
    FILE_OF("client/source.js", client_source_js),
    FILE_OF("client/stream.js", client_stream_js),
    FILE_OF("client/tabs.js", client_tabs_js),
    FILE_OF("client/validate.d.ts", client_validate_d_ts),
    FILE_OF("client/validate.js", client_validate_js),
    FILE_OF("client/verdict.js", client_verdict_js),
    FILE_OF("client/vue.d.ts", client_vue_d_ts),
    FILE_OF("client/vue.js", client_vue_js),
    FILE_OF("client/writes.js", client_writes_js),
};

struct web_file web_file_at(size_t index) {
    return index < sizeof files / sizeof files[0] ? files[index] : (struct web_file){NULL, NULL, 0};
}
