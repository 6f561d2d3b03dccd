// The page at `/`: which sources there are, how they are, and what changes, as it changes.

enum Page {
    static let document = """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Freshet</title>
        <link rel="icon" type="image/svg+xml" href="/page.svg">
        <link rel="stylesheet" href="/page.css">
        <script type="module" src="/page.js"></script>
        </head>
        <body>
        <header>
        <img src="/page.svg" alt="" width="28" height="28">
        <h1>Freshet</h1>
        <p id="connection" role="status">connecting</p>
        </header>
        <main>
        <section aria-label="Sources">
        <table>
        <thead><tr>
        <th>Source</th><th>State</th><th>Interval</th><th class="n">Polls</th><th class="n">304</th>
        <th class="n">Changes</th><th class="n">Subscribers</th>
        </tr></thead>
        <tbody id="sources"></tbody>
        </table>
        <p id="none" hidden>No source is configured.</p>
        </section>
        <section id="detail" aria-label="The chosen source" hidden>
        <h2 id="name"></h2>
        <p id="reason"></p>
        <p id="actions" hidden>
        <button id="poll">Poll now</button>
        <button id="pause">Pause</button>
        <span id="outcome" role="status"></span>
        </p>
        <ul id="notes"></ul>
        <pre id="commands"></pre>
        <h3>The value</h3>
        <pre id="value"></pre>
        </section>
        <section aria-label="Changes">
        <h2>Changes</h2>
        <ol id="changes"></ol>
        </section>
        </main>
        <footer>
        <a href="/v1/sources">/v1/sources</a>
        <a href="/metrics">/metrics</a>
        <a href="/openapi.json">/openapi.json</a>
        <a href="/client/freshet.js">/client/freshet.js</a>
        </footer>
        </body>
        </html>

        """

    /// Three strands of a stream.
    static let icon = """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke-width="3.4" stroke-linecap="round">
        <path stroke="#1a73c7" d="M4 9c4-4 8-4 12 0s8 4 12 0"/>
        <path stroke="#2f9bd6" d="M4 16.5c4-4 8-4 12 0s8 4 12 0"/>
        <path stroke="#6cc3e8" d="M4 24c4-4 8-4 12 0s8 4 12 0"/>
        </svg>

        """
}
