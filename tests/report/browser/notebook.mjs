// What a notebook shows, in a real browser, on a wide, a narrow and a dark screen. Usage: node notebook.mjs FILE
// The folder of node modules with playwright-core and axe-core is in KPL_NODE_MODULES, the browser in KPL_CHROMIUM.

import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";

const [file] = process.argv.slice(2);
const require = createRequire(`${process.env.KPL_NODE_MODULES}/`);
const { chromium } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf-8");
const told = { errors: [], dialogs: 0, elsewhere: [], axe: [], unseen: [], cut: [] };
const browser = await chromium.launch({ executablePath: process.env.KPL_CHROMIUM, args: ["--no-sandbox"] });
try {
  for (const [name, options] of Object.entries({ wide: { viewport: { width: 1100, height: 900 } }, narrow: { viewport: { width: 400, height: 800 } }, dark: { colorScheme: "dark" } })) {
    const page = await (await browser.newContext(options)).newPage();
    page.on("pageerror", (error) => told.errors.push(`${name}: ${error.message}`));
    page.on("dialog", (dialog) => { told.dialogs += 1; dialog.dismiss(); });
    page.on("request", (request) => { if (!/^(data|file):/.test(request.url())) told.elsewhere.push(request.url()); });
    await page.goto(`file://${file}`);
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    told.axe.push(...found.violations.filter((one) => ["serious", "critical"].includes(one.impact)).map((one) => `${name}: ${one.id} ${one.nodes[0].target}`));
    told.unseen.push(...await page.$$eval("img", (all) => all.filter((one) => one.naturalWidth === 0 || one.getBoundingClientRect().width < 20).map((one) => one.alt)));
    // what is wider than the screen is in something that scrolls by itself, as a notebook's output does
    told.cut.push(...await page.$$eval("output", (all) => all.filter((one) => one.scrollWidth > one.clientWidth && getComputedStyle(one).overflowX !== "auto").map((one) => one.id)));
    told.text = await page.textContent("body");
  }
} catch (error) { told.failed = String(error); }
await browser.close();
console.log(JSON.stringify(told));
