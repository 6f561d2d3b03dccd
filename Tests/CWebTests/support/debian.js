// Libraries of others, from Debian's packages and not from this project.

import { existsSync } from "node:fs";
import Module, { createRequire } from "node:module";

// Debian's own node looks there by itself.
process.env.NODE_PATH = "/usr/share/nodejs";
Module._initPaths();

const require = createRequire("/usr/share/nodejs/");

/** What to skip a test with, if one of these files is not there. */
export const lacking = (...paths) => {
  const missing = paths.filter((path) => !existsSync(path));
  return missing.length ? `not installed: ${missing}` : false;
};

export const paths = {
  events: "/usr/share/nodejs/eventsource/lib/eventsource.js",
  react: "/usr/share/nodejs/react/index.js",
  renderer: "/usr/share/nodejs/react-test-renderer/index.js",
  redux: "/usr/share/nodejs/redux/dist/redux.js",
  sockets: "/usr/share/nodejs/ws/index.js",
  vue: "/usr/share/javascript/vue/vue.runtime.common.dev.js",
};

export const load = (path) => (existsSync(path) ? require(path) : undefined);
