// Draw docs/images/{radiology,volumes}.png from the runs that the pages of these names make, in a real Chromium:
//   KPL_CHROMIUM=/usr/bin/chromium NODE_PATH=FOLDER/node_modules node docs/draw_units.mjs RUN "A volume of" docs/images/volumes.png
import { createRequire } from "node:module";
import { resolve } from "node:path";

const { chromium } = createRequire(import.meta.url)("playwright-core");
const [run, said, target] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.KPL_CHROMIUM, args: ["--no-sandbox"] });
const report = await browser.newPage({ viewport: { width: 1000, height: 1100 } });
await report.goto(`file://${resolve(run)}/report.html`);
const unit = report.locator(".wall>li").filter({ has: report.locator(".slices", { hasText: said }) }).first();
await unit.locator("details").first().evaluate((details) => { details.open = true; });
await unit.screenshot({ path: target });
await browser.close();
