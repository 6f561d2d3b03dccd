// The declarations: TypeScript takes them, and they name what the modules export.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../Sources/CWeb/client/", import.meta.url));
// `push.js` is a script, which exports nothing; `push.test.js` tries its declaration.
const declared = readdirSync(folder).filter((name) => name.endsWith(".d.ts")).map((name) => name.slice(0, -5))
  .filter((name) => name !== "push");
const skip = existsSync("/usr/bin/tsc") ? false : "no TypeScript: apt install node-typescript";

// What people write, and what they may not.
const program = `
import { connect, WriteError, type Store, type Transport } from "${folder}freshet.js";
import { connect as connectOffline } from "${folder}offline.js";
import { bind as bindReact } from "${folder}react.js";
import { bind as bindVue } from "${folder}vue.js";
import { freshet, middleware, write } from "${folder}redux.js";
import { bind as bindMobX } from "${folder}mobx.js";
import { validator, validatorOf } from "${folder}validate.js";

interface Order { id: number; status: "open" | "done" }

const transport: Transport = async ({ path, on, signal, alive }) => {
  on("retry", path.length);
  if (!signal.aborted) alive();
};
const gateway = connect("/", { token: async () => "secret", signal: new AbortController().signal, transport });
const orders = gateway.source<Order>("orders", { mode: "items" });
const list: Store<Order[], Order> = gateway.source<Order[], Order>("orders");
const status: "open" | "done" | undefined = orders.item(42).value?.status;
for (const [key, order] of orders.value ?? []) console.log(key.length, order.id, status);
orders.item(42).patch({ status: "done" }).then(({ value }) => value?.id, (error: WriteError<Order>) => error.conflict?.merge({
  id: 1, status: "open",
}));
// @ts-expect-error: no status of an order
orders.item(42).put({ id: 1, status: "lost" });
const kept: Promise<void> = orders.create({ status: "open" }).kept;
connectOffline("/", { user: "alice" }).onParked((writes) => writes.forEach((one) => one.retry()));

const { useItem, useSource } = bindReact({ useCallback: (callback) => callback, useSyncExternalStore: () => undefined });
const size: number | undefined = useSource(orders, (value) => value?.size);
const id: number | undefined = useItem(orders, 42)?.id;
const ref: { value: Order[] | undefined } = bindVue({}).useSource(list);
const reducer: (slice: undefined, action: { type: string }) => object = freshet;
const action: { type: string } = write("orders", 42).patch({ status: "done" });
const observed: Order | undefined = bindMobX({ createAtom: () => undefined }).observeItem(orders, 42).current;
const errors: { pointer: string }[] = validator({ type: "object" }, "draft-07").errors({});
validatorOf(gateway, "orders").then((made) => made.itemErrors({}));
export { kept, size, id, ref, reducer, action, observed, errors, middleware };
`;

test("TypeScript takes the declarations as they are used", { skip }, () => {
  const place = mkdtempSync(join(tmpdir(), "freshet-types-"));
  try {
    writeFileSync(join(place, "package.json"), `{ "type": "module" }`);
    writeFileSync(join(place, "program.ts"), program);
    const compilerOptions = {
      noEmit: true, strict: true, target: "es2022", lib: ["es2022", "dom", "dom.iterable"], module: "nodenext", types: [],
    };
    writeFileSync(join(place, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }));
    execFileSync("/usr/bin/tsc", ["--project", place], { stdio: "pipe", encoding: "utf8" });
  } catch (error) {
    assert.fail(error.stdout || error);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
});

for (const name of declared) {
  test(`${name}.d.ts declares what ${name}.js exports`, async () => {
    const text = readFileSync(`${folder}${name}.d.ts`, "utf8");
    const own = [...text.matchAll(/^export (?:function|class|const) (\w+)/gm)].map(([, one]) => one);
    const passed = [...text.matchAll(/^export \{ ([\w, ]+) \} from/gm)].flatMap(([, list]) => list.split(", "));
    const exported = Object.keys(await import(`${folder}${name}.js`)).filter((one) => !["Gateway"].includes(one));
    assert.deepEqual(new Set([...own, ...passed]), new Set(exported));
  });
}
