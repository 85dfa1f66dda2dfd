// Draw docs/images/{report,page,page-narrow}.png from a demo run and a server, in a real Chromium:
//   kpl demo --out demo; kpl serve --port 8321 &
//   KPL_CHROMIUM=/usr/bin/chromium NODE_PATH=FOLDER/node_modules node docs/draw_pages.mjs demo http://127.0.0.1:8321/ docs/images
// Then each as 256 colours, which by eye are the same: python -c "import sys; from PIL import Image; p = sys.argv[1];
//   Image.open(p).convert('RGB').quantize(256).save(p, optimize=True)" docs/images/page.png
import { createRequire } from "node:module";
import { readdirSync } from "node:fs";
import { resolve } from "node:path";

const { chromium } = createRequire(import.meta.url)("playwright-core");
const [demo, address, target] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.KPL_CHROMIUM, args: ["--no-sandbox"] });

const report = await browser.newPage({ viewport: { width: 1100, height: 860 } });
await report.goto(`file://${resolve(demo)}/run/report.html`);
await report.locator("h2", { hasText: "The pictures" }).evaluate((title) => title.scrollIntoView({ behavior: "instant" }));
await report.screenshot({ path: `${target}/report.png` });

const folder = resolve(demo, "pictures");
const pictures = readdirSync(folder).sort().map((name) => `${folder}/${name}`);

async function open(options) {
  const page = await browser.newPage(options);
  await page.goto(address);
  await page.selectOption("#pack", "blood-cells");
  await page.setInputFiles("#files", pictures);
  await page.waitForFunction((n) => document.getElementById("count").textContent.includes(`${n}`), pictures.length);
  await page.click("#classify");
  await page.waitForSelector("#wall .card", { timeout: 60_000 });
  return page;
}

const seen = (page) => page.waitForFunction(() => [...document.images].every((one) => {
  const { top, bottom } = one.getBoundingClientRect();
  return bottom <= 0 || top >= innerHeight || one.checkVisibility() === false || (one.complete && one.naturalWidth > 0);
}));

const wide = await open({ viewport: { width: 1100, height: 1400 } });
await wide.selectOption("#order", "unsure");
await wide.click("#wall .card button, #wall .card");
await wide.waitForSelector(".sentences .text");
await wide.fill("#reader", "Dr. A. Example");
await wide.click("button:has-text('Show where')");
await wide.waitForSelector("#map:not([hidden])");
await wide.waitForTimeout(500);
await seen(wide);
await wide.evaluate(() => { document.getElementById("evidence").scrollTop = 0; });
await wide.screenshot({ path: `${target}/page.png` });

const narrow = await open({ viewport: { width: 400, height: 1100 }, colorScheme: "dark" });
await narrow.locator("#results-title").evaluate((title) => title.scrollIntoView({ behavior: "instant" }));
await narrow.waitForTimeout(500); // until the pictures in view are asked for
await seen(narrow);
await narrow.screenshot({ path: `${target}/page-narrow.png` });
await browser.close();
