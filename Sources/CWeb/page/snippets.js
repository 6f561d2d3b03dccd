// The same stream in five languages, as text to paste. Each reads JSON lines or events without a further dependency. With
// `needsKey` they carry the word KEY in the place of a key, never the key.

export const snippets = {
  curl: ({ stream, needsKey }) => `curl -N ${needsKey ? "-H 'Authorization: Bearer KEY' " : ""}'${stream}'`,

  JavaScript: ({ gateway, name, needsKey }) => `// A page of another origin needs a line in freshet.yaml:
// cors: {origins: [https://app.example]}
import { connect } from "${gateway}/client/freshet.js";

const client = connect("${gateway}"${needsKey ? `, { token: "KEY" }` : ""});
client.source(${JSON.stringify(name)}).subscribe((value) => {
  console.log(value);
});`,

  Python: ({ stream, needsKey }) => `import json, urllib.request

request = urllib.request.Request(
    "${stream}",
    headers={"Accept": "application/x-ndjson"${needsKey ? `, "Authorization": "Bearer KEY"` : ""}},
)
with urllib.request.urlopen(request) as lines:
    for line in lines:
        event = json.loads(line)
        print(event["event"], event.get("data"))`,

  Go: ({ stream, needsKey }) => `package main

import ("encoding/json"; "fmt"; "log"; "net/http")

func main() {
\trequest, _ := http.NewRequest("GET", "${stream}", nil)
\trequest.Header.Set("Accept", "application/x-ndjson")
${needsKey ? `\trequest.Header.Set("Authorization", "Bearer KEY")\n` : ""}\tresponse, err := http.DefaultClient.Do(request)
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\tfor lines := json.NewDecoder(response.Body); ; {
\t\tvar event struct{ ID, Event string; Data json.RawMessage }
\t\tif err := lines.Decode(&event); err != nil {
\t\t\tlog.Fatal(err)
\t\t}
\t\tfmt.Println(event.Event, string(event.Data))
\t}
}`,

  Swift: ({ stream, needsKey }) => `// macOS 12, iOS 15 or later
import Foundation

var request = URLRequest(url: URL(string: "${stream}")!)
request.setValue("application/x-ndjson", forHTTPHeaderField: "Accept")
${needsKey ? `request.setValue("Bearer KEY", forHTTPHeaderField: "Authorization")\n` : ""
}let (bytes, _) = try await URLSession.shared.bytes(for: request)
for try await line in bytes.lines {
    print(line)
}`,
};
