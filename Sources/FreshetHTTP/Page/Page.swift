// The page at `/`: which sources there are, how they are, and what changes, as it changes.

enum Page {
    static let document = """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Freshet</title>
        <link rel="stylesheet" href="/page.css">
        <script type="module" src="/page.js"></script>
        </head>
        <body>
        <h1>Freshet</h1>
        <p id="connection" role="status">connecting</p>
        <table>
        <thead><tr>
        <th>Source</th><th>State</th><th>Interval</th><th>Polls</th><th>Changes</th><th>Subscribers</th>
        </tr></thead>
        <tbody id="sources"></tbody>
        </table>
        <h2>Changes</h2>
        <ol id="changes" reversed></ol>
        <p>
        <a href="/v1/sources">/v1/sources</a> ·
        <a href="/metrics">/metrics</a> ·
        <a href="/openapi.json">/openapi.json</a>
        </p>
        </body>
        </html>

        """

    /// Whatever comes from a source is set as `textContent`, so that it stays text.
    static let script = """
        const rows = new Map();
        const table = document.getElementById("sources");
        const changes = document.getElementById("changes");
        const connection = document.getElementById("connection");

        function row(name) {
          let cells = rows.get(name);
          if (cells) return cells;
          const line = table.insertRow();
          cells = ["name", "state", "interval", "polls", "changes", "subscribers"].map(() => line.insertCell());
          const link = document.createElement("a");
          link.href = "/v1/values/" + encodeURIComponent(name);
          link.textContent = name;
          cells[0].append(link);
          rows.set(name, cells);
          return cells;
        }

        function setState(name, state, reason) {
          const cell = row(name)[1];
          cell.textContent = state;
          cell.title = reason || "";
          cell.className = state;
        }

        async function refresh() {
          const answer = await fetch("/v1/sources");
          if (!answer.ok) return;
          for (const source of (await answer.json()).sources) {
            const cells = row(source.name);
            setState(source.name, source.state, source.last_error ? source.last_error.message : "");
            cells[2].textContent = source.interval;
            cells[2].title = source.interval_reason;
            cells[3].textContent = source.polls;
            cells[4].textContent = source.changes;
            cells[5].textContent = source.subscribers;
          }
        }

        function show(kind, data) {
          const item = document.createElement("li");
          const body = JSON.stringify(data[kind === "snapshot" ? "value" : kind]);
          const shown = body.length > 400 ? body.slice(0, 400) + "…" : body;
          item.textContent = `${data.at} ${data.source} ${kind} ${shown}`;
          changes.prepend(item);
          while (changes.childElementCount > 50) changes.lastElementChild.remove();
        }

        const stream = new EventSource("/v1/streams/*");
        stream.onopen = () => { connection.textContent = "live"; refresh(); };
        stream.onerror = () => { connection.textContent = "reconnecting"; };
        for (const kind of ["snapshot", "patch"]) {
          stream.addEventListener(kind, (event) => show(kind, JSON.parse(event.data)));
        }
        stream.addEventListener("status", (event) => {
          const status = JSON.parse(event.data);
          setState(status.source, status.state, status.error ? status.error.message : "");
        });
        setInterval(refresh, 5000);
        refresh();

        """

    static let style = """
        body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
        body { color: #222; background: #fff; }
        table { border-collapse: collapse; width: 100%; }
        th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd; }
        ol { font: 13px/1.5 ui-monospace, monospace; padding-left: 3rem; overflow-wrap: anywhere; }
        .ok { color: #176f2c; }
        .failing { color: #b3261e; }
        .stale, .backoff { color: #8a5a00; }
        @media (prefers-color-scheme: dark) {
          body { color: #ddd; background: #161616; }
          th, td { border-color: #333; }
          a { color: #8ab4f8; }
          .ok { color: #7bd88f; }
          .failing { color: #ff8a80; }
          .stale, .backoff { color: #e0b050; }
        }

        """
}
