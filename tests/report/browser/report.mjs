// A report in a real browser, on every kind of screen and on paper. Usage: node report.mjs FILE FOLDER
// The folder of node modules with playwright-core and axe-core is in KPL_NODE_MODULES, the browser in KPL_CHROMIUM.

import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";

const [file, folder] = process.argv.slice(2);
const require = createRequire(`${process.env.KPL_NODE_MODULES}/`);
const { chromium } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf-8");

const told = { errors: [], dialogs: 0, elsewhere: [], axe: [], wide: {}, pictures: {}, background: {} };
const screens = {
  light: { viewport: { width: 1100, height: 900 } },
  dark: { viewport: { width: 1100, height: 900 }, colorScheme: "dark" },
  narrow: { viewport: { width: 400, height: 800 } },
  print: { viewport: { width: 794, height: 1123 } },
};

const browser = await chromium.launch({ executablePath: process.env.KPL_CHROMIUM, args: ["--no-sandbox"] });
try {
  for (const [name, options] of Object.entries(screens)) {
    // The report allows no script, so only what the browser itself runs may look at it.
    const page = await (await browser.newContext(options)).newPage();
    page.on("pageerror", (error) => told.errors.push(`${name}: ${error.message}`));
    page.on("console", (line) => { if (line.type() === "error") told.errors.push(`${name}: ${line.text()}`); });
    page.on("dialog", (dialog) => { told.dialogs += 1; dialog.dismiss(); });
    page.on("request", (request) => { if (!/^(data|file):/.test(request.url())) told.elsewhere.push(request.url()); });
    if (name === "print") await page.emulateMedia({ media: "print" });
    await page.goto(`file://${file}`);
    if (name === "print") {
      await page.pdf({ path: `${folder}/print.pdf` });
      told.paper = await page.evaluate(() => {
        const seen = (where) => [...new Set([...document.querySelectorAll(where)].map((one) => one.checkVisibility()))];
        const size = (where) => parseFloat(getComputedStyle(document.querySelector(where)).fontSize);
        return { folded: seen("details:not(.wall *) td"), evidence: seen(".wall details .evidence"),
          interval: size("#labels ~ .scroll td .small"), figure: size("#labels ~ .scroll td") };
      });
    }
    if (name === "narrow") {
      told.broken = await page.evaluate(() => [...document.querySelectorAll(".marked")].filter((one) => {
        const [mark, words] = one.children;
        const first = document.createRange();
        first.setStart(words.firstChild, 0);
        first.setEnd(words.firstChild, words.textContent.search(/\s|$/));
        const [line, ...more] = first.getClientRects();
        const box = mark.getBoundingClientRect();
        return more.length || box.right > line.left || box.top > line.bottom || box.bottom < line.top;
      }).map((one) => one.textContent));
    }
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    told.wide[name] = [await wide()];
    await page.evaluate(() => { for (const one of document.querySelectorAll("details")) one.open = true; });
    told.wide[name].push(await wide());
    told.pictures[name] = await page.evaluate(() => {
      const sizes = [...document.querySelectorAll(".picture use")].map((one) => [one.getBBox(), one.getBoundingClientRect()]);
      return [sizes.length, sizes.filter(([drawn, seen]) => drawn.width > 0 && seen.width > 20 && seen.height > 20).length];
    });
    told.signs = (told.signs || 0) + await page.evaluate(() => [...document.querySelectorAll(".scroll")].filter((one) => one.scrollWidth > one.clientWidth
      && !/gradient/.test(getComputedStyle(one).backgroundImage) && getComputedStyle(one).borderInlineStyle === "none").length);
    told.background[name] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    told.injected = await page.evaluate(() => document.querySelectorAll("script:not(#all-data, #all-data + script), iframe, [onerror], [onload], img[src=x]").length);
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    told.axe.push(...found.violations.filter((one) => ["serious", "critical"].includes(one.impact))
      .map((one) => `${name}: ${one.id} ${one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`));
    await page.screenshot({ path: `${folder}/${name}.png` });
    await page.context().close();
  }
  const page = await (await browser.newContext(screens.light)).newPage();
  await page.goto(`file://${file}`);
  told.text = await page.textContent("body");
  // By keyboard: the first picture of a wall opens its evidence.
  await page.focus(".wall summary");
  const width = (one) => one.locator(".picture").first().evaluate((picture) => picture.getBoundingClientRect().width);
  const first = page.locator(".wall summary").first(), before = await width(first);
  await page.keyboard.press("Enter");
  told.enlarged = [before, await width(first)];
  await page.keyboard.press("ArrowRight"); // to the next picture, which is large then; Escape makes it small
  told.stepped = [await page.evaluate(() => [...document.querySelectorAll(".wall > li > details")].map((one) => one.open).indexOf(true)), await page.evaluate(() => document.activeElement.tagName)];
  await page.screenshot({ path: `${folder}/enlarged.png` });
  await page.keyboard.press("Escape");
  told.small = await page.locator(".wall details[open]").count();
  await page.keyboard.press("Enter");
  // Every picture: searched, filtered, and each kept table says that it goes on.
  told.all = [await page.locator("#all-wall > li").count(), await page.textContent("#all-said")];
  await page.fill("#all-find", "cell-0");
  told.found = await page.$$eval("#all-wall > li", (all) => all.map((one) => one.querySelector("summary").lastChild.textContent));
  await page.selectOption("#all-sure", "0 0.5");
  told.unsure = await page.$$eval("#all-wall .sure", (all) => all.map((one) => parseFloat(one.textContent)));
  await page.fill("#all-find", "");
  await page.selectOption("#all-sure", "0 1");
  const rights = async (wanted) => { await page.selectOption("#all-right", wanted); return page.$$eval("#all-wall > li", (all) => all.map((one) => [one.querySelectorAll(".right").length, one.querySelectorAll(".wrong").length].join())); };
  told.rights = [await rights("true"), await rights("false"), await rights("none"), (await rights("")).length];
  await page.locator("#all-wall summary").first().focus();
  await page.keyboard.press("Enter");
  told.one = await width(page.locator("#all-wall summary").first());
  await page.fill("#all-find", "no picture is called so");
  told.none = await page.textContent("#all-said");
  const plain = await (await browser.newContext({ ...screens.narrow, javaScriptEnabled: false })).newPage();
  await plain.goto(`file://${file}`);
  await plain.locator("#all-wall summary").first().click();
  told.large = await plain.locator("#all-wall .picture").first().evaluate((picture) => picture.getBoundingClientRect().width);
  told.plain = [await plain.locator("#all-wall > li").count(), await plain.isVisible("#all-tools")];
  told.opened = await page.isVisible(".wall details[open] .evidence");
} catch (error) {
  told.failed = error.stack;
}
process.stdout.write(JSON.stringify(told));
await browser.close();
