// axe-core, the checker of accessibility, as PyPI has it in a package for other tests.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../../.build-python/axe", import.meta.url));
const file = join(folder, "axe_playwright_python/axe.min.js");

/** Its script; undefined where it is not there and cannot be installed. */
export function axe() {
  if (!existsSync(file)) {
    const words = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, "axe-playwright-python==0.1.8"];
    try {
      execFileSync("python3", words, { stdio: "ignore" });
    } catch {
      return undefined;
    }
  }
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/** What it finds in a page, one line for each. */
export async function findings(tab, script) {
  await tab.run(`${script}; 1`);
  return tab.run("axe.run().then((all) => all.violations.map((one) => one.id + ': ' + one.nodes[0].html.slice(0, 200)))");
}
