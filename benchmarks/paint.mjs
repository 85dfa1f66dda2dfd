// First paint of the page in headless Chromium, beside two floors: an answer of one line by the same server, and an empty
// file. Each is opened in a fresh profile, in turn. Usage: node paint.mjs ADDRESS TIMES
// The folder of node modules with playwright-core is in KPL_NODE_MODULES, the browser in KPL_CHROMIUM.

import { createRequire } from "node:module";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [address, times] = process.argv.slice(2);
const { chromium } = createRequire(`${process.env.KPL_NODE_MODULES}/`)("playwright-core");
const folder = mkdtempSync(join(tmpdir(), "kpl-paint-"));
writeFileSync(join(folder, "empty.html"), "<!doctype html><title>Empty</title><p>A line.");
const opened = { page: address, one_line_by_the_server: `${address}health`, empty_file: pathToFileURL(join(folder, "empty.html")).href };
const paints = Object.fromEntries(Object.keys(opened).map((name) => [name, []]));
let bytes = 0;

const browser = await chromium.launch({ executablePath: process.env.KPL_CHROMIUM, args: ["--no-sandbox"] });
try {
  for (let n = 0; n < Number(times); n += 1) {
    for (const [name, url] of Object.entries(opened)) {
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(url);
      await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
      paints[name].push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime));
      if (name === "page") {
        await page.waitForFunction(() => document.querySelectorAll("#classes .class").length > 0);
        bytes = await page.evaluate(() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
          .filter((one) => !one.name.includes("/api/")).reduce((sum, one) => sum + one.transferSize, 0));
      }
      await context.close();
    }
  }
} finally {
  await browser.close();
  rmSync(folder, { recursive: true });
}
process.stdout.write(JSON.stringify({ paints, bytes }));
