// Keeps the page's own files, so that it opens and says what it knows where its gateway does not answer. The network comes
// first: a page is never older than the gateway that answers. Nothing of the API is kept, and no key passes here.

const name = "page";
const paths = new Set([
  "/", "/page.css", "/page.svg", "/page.js", "/changes.js", "/elements.js", "/events.js", "/gateway.js", "/overview.js",
  "/poll.js", "/rows.js", "/snippets.js", "/source.js", "/tree.js", "/webhooks.js", "/words.js", "/client/json.js",
]);

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(name).then((cache) => cache.addAll([...paths])));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || !paths.has(url.pathname) || url.search) return;
  event.respondWith(fetch(event.request).then(async (answer) => {
    if (answer.ok) await (await caches.open(name)).put(url.pathname, answer.clone());
    return answer;
  }).catch(async (error) => {
    const kept = await caches.match(url.pathname);
    if (!kept) throw error;
    return kept;
  }));
});
