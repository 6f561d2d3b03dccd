// Blocks of JavaScript in the catalogue, run as they stand there.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as freshet from "../../../Sources/CWeb/client/freshet.js";
import * as mobx from "../../../Sources/CWeb/client/mobx.js";
import * as offline from "../../../Sources/CWeb/client/offline.js";
import * as react from "../../../Sources/CWeb/client/react.js";
import * as redux from "../../../Sources/CWeb/client/redux.js";
import * as validate from "../../../Sources/CWeb/client/validate.js";
import * as vue from "../../../Sources/CWeb/client/vue.js";

const catalogue = fileURLToPath(new URL("../../../Sources/freshet/Freshet.docc/", import.meta.url));

/** The blocks of a page. */
export const snippets = (page) =>
  [...readFileSync(catalogue + page, "utf8").matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, text]) => text);

const AsyncFunction = (async () => {}).constructor;

/** Runs text as it would run in a module; the client is that of the tree, not of a gateway. */
export function run(text, globals = {}) {
  const loading = /^import (\{.*\}) from "http:\/\/127\.0\.0\.1:8080\/client\/(\w+)\.js";$/gm;
  const local = text.replace(loading, "const $1 = client.$2;");
  const client = { freshet, mobx, offline, react, redux, validate, vue };
  return new AsyncFunction("client", ...Object.keys(globals), local)(client, ...Object.values(globals));
}
