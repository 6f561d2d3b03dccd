// How the page at `/` looks, by day and by night.

extension Page {
    static let style = """
        :root {
          --text: #1d2125; --soft: #5c6670; --line: #dfe3e7; --ground: #f6f8fa; --card: #fff; --accent: #1a73c7;
          --good: #176f2c; --bad: #b3261e; --warn: #8a5a00;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --text: #dde2e7; --soft: #98a2ac; --line: #2c333a; --ground: #101418; --card: #181d22; --accent: #6cb4ee;
            --good: #7bd88f; --bad: #ff8a80; --warn: #e0b050;
          }
        }
        * { box-sizing: border-box; }
        body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--ground); margin: 0; }
        header, main, footer { max-width: 68rem; margin: 0 auto; padding: 0 1rem; }
        header { display: flex; align-items: center; gap: .7rem; padding-top: 1.2rem; }
        h1 { font-size: 1.4rem; margin: 0; }
        h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
        h3 { font-size: .9rem; color: var(--soft); margin: 1rem 0 .3rem; }
        section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
        section { padding: 1rem; margin: 1rem 0; overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; }
        th { color: var(--soft); font-weight: 500; font-size: .85rem; }
        th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
        tbody tr:last-child td { border-bottom: 0; }
        tr.chosen { background: color-mix(in srgb, var(--accent) 10%, transparent); }
        .n { text-align: right; font-variant-numeric: tabular-nums; }
        button { font: inherit; color: var(--accent); background: none; border: 0; padding: 0; cursor: pointer; }
        button:hover { text-decoration: underline; }
        .state::before, #connection::before { content: ""; display: inline-block; width: .55em; height: .55em; }
        .state::before, #connection::before { border-radius: 50%; background: currentColor; margin-right: .45em; }
        .ok, .live { color: var(--good); }
        .failing, .error, .reconnecting { color: var(--bad); }
        .stale, .backoff, .warning { color: var(--warn); }
        .starting, .paused, #connection { color: var(--soft); }
        #connection { margin: 0 0 0 auto; }
        #connection.live { color: var(--good); }
        #connection.reconnecting { color: var(--bad); }
        #reason { color: var(--soft); margin: 0; }
        #actions { margin: .6rem 0 0; }
        #actions button { border: 1px solid var(--line); border-radius: 6px; padding: .2rem .7rem; margin-right: .4rem; }
        #outcome { color: var(--soft); }
        #notes { margin: .5rem 0; padding-left: 1.2rem; }
        pre, #changes { font: 13px/1.5 ui-monospace, monospace; }
        pre { margin: .5rem 0 0; padding: .7rem; background: var(--ground); border-radius: 6px; overflow: auto; }
        #value { max-height: 24rem; }
        #changes { list-style: none; margin: 0; padding: 0; }
        #changes li { padding: .4rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
        #changes li:first-child { border-top: 0; }
        time, em, .op b { color: var(--soft); font-style: normal; font-weight: 400; }
        .op { padding-left: 1.5rem; }
        .op i { font-style: normal; color: var(--accent); }
        .op.add span, .op.add b { color: var(--good); }
        .op.remove b, .op.remove i { color: var(--bad); }
        .op s { color: var(--bad); text-decoration: none; }
        .op s + span::before { content: "→ "; color: var(--soft); }
        .op.replace s + span { color: var(--good); }
        footer { display: flex; flex-wrap: wrap; gap: 1rem; padding-bottom: 2rem; }
        a { color: var(--accent); }

        """
}
