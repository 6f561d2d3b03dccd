// For a page's own service worker: shows a notification for each message of Web Push.
//
//   importScripts("https://gateway.example/client/push.js");
//   freshetPush({ gateway: "https://gateway.example/", show: (change) => ({ title: "Orders", body: "…" }) });
//
// A script and no module, since `importScripts` loads no modules. To be called while the worker starts, as every worker adds
// its listeners. Options:
//
// - `gateway`: where changes are fetched that did not fit into a message. Default: the origin of the worker.
// - `token`: a key or token of the gateway, or a function that returns one or a promise of one. Default: none.
// - `credentials`: as `fetch` takes it, for a cookie of another origin. Default: "same-origin".
// - `show(change, changes)`: what is shown, as the arguments of `showNotification` in one object: `title` and its options.
//   `change` is the newest change, an event as `/v1/changes` has it; `changes` are all, the newest first. May return a promise.
// - `url`: what a click opens. Default: the scope of the worker.

(() => {
  /** Changes that are fetched for one message. */
  const maxChanges = 20;

  const read = (event) => {
    try {
      return event.data?.json() ?? {};
    } catch {
      return {};
    }
  };

  /** An identity as `?item=` takes it: text with a comma or a quote in it as JSON. */
  const identity = (item) => (typeof item === "string" && !/[",]/.test(item) ? item : JSON.stringify(item));

  /** What a message stands for, the newest first. Without network, or without the right to read, that is the message. */
  const changesOf = async (message, { gateway, token, credentials = "same-origin" }) => {
    if (message.event !== "changes" || !message.data?.sources) return [message];
    try {
      const { sources, since, pointer, item } = message.data;
      const url = new URL(`/v1/changes/${sources}`, gateway ?? self.location.origin);
      const query = { mode: "items", since, descending: true, limit: maxChanges };
      if (pointer !== undefined) query.pointer = pointer;
      else if (item !== undefined) query.item = identity(item);
      for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
      const bearer = await (typeof token === "function" ? token() : token);
      const headers = bearer ? { Authorization: `Bearer ${bearer}` } : {};
      const answer = await self.fetch(url.href, { headers, credentials, cache: "no-store" });
      const { events = [] } = answer.ok ? await answer.json() : {};
      return events.length > 0 ? events : [message];
    } catch {
      return [message];
    }
  };

  const describe = ({ event, data }) => {
    const { source, sources, items } = data ?? {};
    const counts = Object.entries((event === "items" && items) || {}).filter(([, list]) => list?.length > 0);
    const body = counts.map(([kind, list]) => `${list.length} ${kind}`).join(", ") || "changed";
    return { title: source ?? sources ?? self.location.hostname, body };
  };

  self.freshetPush = (options = {}) => {
    const notify = async (message) => {
      const changes = await changesOf(message, options);
      const own = describe(changes[0]);
      const { title = own.title, ...rest } = (await options.show?.(changes[0], changes)) ?? own;
      // A notification takes the place of the last one about the same source.
      const settings = { tag: `freshet ${own.title}`, data: changes[0], ...rest };
      await self.registration.showNotification(title, settings);
    };

    const open = async () => {
      const url = new URL(options.url ?? "", self.registration.scope).href;
      const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
      const page = pages.find((one) => one.url === url) ?? pages[0];
      await (page ? page.focus() : self.clients.openWindow(url));
    };

    self.addEventListener("push", (event) => event.waitUntil(notify(read(event))));
    self.addEventListener("notificationclick", (event) => {
      event.notification.close();
      event.waitUntil(open());
    });
  };
})();
