// What a user does, in a real browser. Usage: node stories.mjs STORY ADDRESS FOLDER [FILE...]
// The folder of node modules with playwright-core and axe-core is in KPL_NODE_MODULES, the browser in KPL_CHROMIUM.

import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";

const [story, address, folder, ...files] = process.argv.slice(2);
const require = createRequire(`${process.env.KPL_NODE_MODULES}/`);
const { chromium } = require("playwright-core");
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({ executablePath: process.env.KPL_CHROMIUM, args: ["--no-sandbox"] });
const told = { errors: [], dialogs: 0, elsewhere: [] };

async function open({ allowErrors = false, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30000);
  page.on("pageerror", (error) => told.errors.push(error.message));
  page.on("console", (line) => { if (line.type() === "error" && !allowErrors) told.errors.push(line.text()); });
  page.on("dialog", (dialog) => { // the browser's own question before a page is left is no dialog of a script
    if (dialog.type() === "beforeunload") { told.asked = (told.asked || 0) + 1; dialog.accept(); } else { told.dialogs += 1; dialog.dismiss(); }
  });
  page.on("request", (request) => { if (!request.url().startsWith(address) && !/^(data|blob):/.test(request.url())) told.elsewhere.push(request.url()); });
  await page.goto(address);
  await page.waitForSelector("#pack option", { state: "attached" });
  await page.waitForFunction(() => document.querySelectorAll("#classes .class").length > 0);
  return page;
}

async function classify(page, given = files) {
  await page.setInputFiles("#files", given);
  await page.waitForFunction(() => !document.getElementById("classify").disabled && document.getElementById("upload").hidden);
  await page.click("#classify");
  await page.waitForSelector("#wall .card");
  await page.waitForFunction(() => document.getElementById("job").hidden);
}

async function axe(page, where) {
  await page.evaluate(await readFile(require.resolve("axe-core/axe.min.js"), "utf-8"));
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  told.axe = [...(told.axe || []), ...serious.map((one) => `${where}: ${one.id} ${one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`)];
}

async function noSidewaysScroll(page, where) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) told.errors.push(`${where}: ${wide} pixels too wide`);
}

async function noticeInSight(page, where) {
  const seen = await page.evaluate(() => [...document.querySelectorAll(".notice")].some((one) => {
    const box = one.getBoundingClientRect();
    return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight && box.right <= innerWidth;
  }));
  if (!seen) told.errors.push(`${where}: "Not a medical device" is out of sight`);
}

async function download(page, button, name) {
  const [got] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
  await got.saveAs(`${folder}/${name}`);
}

async function showWhere(page, press = () => page.click("#map-draw")) {
  await page.waitForFunction(() => !document.getElementById("map-draw").disabled);
  told.cost = await page.textContent("#map-note");
  await press();
  await page.waitForSelector("#map:not([hidden])");
  await page.waitForFunction(() => document.getElementById("map-picture").naturalWidth > 0);
}

// The status of the session of a page before the page is left, and at the last.
async function leaves(page, how, headers = {}) {
  const session = await page.evaluate(async () => (await import("/static/state.js")).path());
  const look = async () => (await fetch(new URL(session, address), { headers })).status;
  const before = await look();
  await how();
  let after = await look();
  for (let n = 0; after === 200 && n < 100; n += 1) { await new Promise((done) => setTimeout(done, 100)); after = await look(); }
  return [before, after];
}

const stories = {
  async whole() {
    const page = await open();
    await noticeInSight(page, "empty");
    told.empty = await page.textContent("#empty");
    told.classifyDisabled = await page.isDisabled("#classify");
    await axe(page, "empty");
    await classify(page);
    told.summary = await page.textContent("#summary");
    told.leftOut = await page.textContent("#left-out-list");
    await page.screenshot({ path: `${folder}/page.png` });
    await page.waitForTimeout(300);
    await axe(page, "results");
    await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
    await noticeInSight(page, "scrolled");

    // The commonest class is said not to occur: no picture may stay in it.
    await page.click("#adjust > summary");
    const shares = () => page.evaluate(() => [...document.querySelectorAll("#shares tr")].map((row) => parseFloat(row.cells[1].textContent)));
    told.before = await shares();
    const commonest = told.before.indexOf(Math.max(...told.before));
    await page.fill(`#shares tr:nth-child(${commonest + 1}) input`, "0");
    await page.waitForFunction((row) => parseFloat(document.querySelectorAll("#shares tr")[row].cells[1].textContent) === 0, commonest);
    told.byHand = await page.textContent("#warnings");
    await page.click("#estimated");
    await page.waitForFunction(() => document.getElementById("estimated").disabled);
    told.after = await shares();
    await page.fill("#k", "2");
    await page.waitForFunction(() => document.getElementById("k-value").textContent.startsWith("2 of"));
    await page.waitForFunction(() => /looked at again/.test(document.getElementById("took").textContent));
    await page.selectOption("#by", "text");
    await page.selectOption("#only", "differ");
    told.differ = await page.textContent("#shown");
    await page.selectOption("#only", "all");
    await page.selectOption("#order", "unsure");

    await page.click("#wall .card");
    await page.waitForSelector(".near .card");
    told.near = await page.$$eval(".near .card", (all) => all.map((one) => one.textContent));
    await showWhere(page);
    told.caption = await page.textContent("#map-caption");
    const looked = await page.textContent("#evidence-title");
    const near = page.locator(".near .card").first();
    told.nearName = await near.getAttribute("title");
    await near.click();
    await page.waitForFunction((before) => document.getElementById("evidence-title").textContent !== before, looked);
    told.nearTitle = await page.textContent("#evidence-title");
    told.mapIsGone = await page.isHidden("#map");
    await showWhere(page);
    await page.evaluate(() => { const box = document.getElementById("evidence"); box.scrollTop = box.scrollHeight; });
    await noticeInSight(page, "evidence");
    await page.click("#refit");
    await page.waitForFunction(() => /without it/.test(document.getElementById("evidence-lists").textContent));
    await page.screenshot({ path: `${folder}/evidence.png` });
    await axe(page, "evidence");
    const sentence = await page.textContent(".sentences .text span");
    await page.click(".sentences button");
    await page.fill(".sentences input", "a sentence that was changed in place");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.getElementById("status").textContent === "The sentence is changed.");
    told.changed = !(await page.inputValue("#classes")
      .catch(() => page.evaluate(() => [...document.querySelectorAll("#classes textarea")].map((one) => one.value).join("\n")))).split("\n").includes(sentence);
    await page.click("#evidence-close");

    await download(page, "#get-csv", "predictions.csv");
    await download(page, "#get-report", "report.html");
    await download(page, "#get-model", "model.kpl");
    await page.click("#clear");
    await page.waitForFunction(() => document.getElementById("count").textContent === "No pictures yet.");
    told.cleared = await page.isHidden("#results");
  },

  async keyboard() {
    const page = await open();
    const chooser = page.waitForEvent("filechooser"); // waited for early: the browser must know before it opens one
    const press = (key, times = 1) => (async () => { for (let n = 0; n < times; n += 1) await page.keyboard.press(key); })();
    const until = async (id, key = "Tab") => {
      for (let n = 0; n < 200; n += 1) {
        if (await page.evaluate((wanted) => document.activeElement.matches(wanted), id)) {
          const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
          if (ring === "none") told.errors.push(`${id}: the focus cannot be seen`);
          return;
        }
        await press(key);
      }
      told.errors.push(`${id} cannot be reached with ${key}`);
    };
    await until(".skip");
    await until("#encoder");
    await until("#choose-files");
    await press("Enter");
    await (await chooser).setFiles(files);
    await page.waitForFunction(() => document.activeElement.id === "classify");
    await press("Enter");
    await page.waitForFunction(() => document.activeElement.id === "results-title");
    await until("#adjust > summary");
    await press("Enter");
    await until("#k");
    await press("Home");
    await page.waitForFunction(() => document.getElementById("k-value").textContent.startsWith("1 of"));
    await until("#shares input");
    await press("End");
    await page.waitForFunction(() => !document.getElementById("estimated").disabled);
    await page.focus("#find");
    await until(".card");
    await press("Enter");
    await page.waitForSelector(".sentences li");
    const first = await page.textContent("#evidence-title");
    await press("ArrowRight");
    await page.waitForFunction((before) => document.getElementById("evidence-title").textContent !== before, first);
    await until("#map-how");
    await press("ArrowDown");
    await page.waitForFunction(() => document.getElementById("map-how").value.startsWith("windows"));
    await showWhere(page, async () => { await until("#map-draw"); await press("Enter"); });
    await page.waitForFunction(() => document.activeElement.id === "map-draw"); // the focus is where it was
    await until(".near .card");
    const before = await page.textContent("#evidence-title");
    await press("Enter");
    await page.waitForFunction((title) => document.getElementById("evidence-title").textContent !== title, before);
    await until(".sentences button");
    await press("Enter");
    await page.waitForSelector(".sentences input");
    await press("Escape");
    told.stillOpen = await page.isVisible("#evidence");
    await press("Escape");
    await page.waitForFunction(() => !document.getElementById("evidence").open);
    told.back = await page.evaluate(() => document.activeElement.className);
  },

  async narrow() {
    const page = await open({ viewport: { width: 400, height: 800 } });
    await noSidewaysScroll(page, "empty");
    await classify(page);
    await page.waitForTimeout(300);
    for (const one of ["#adjust > summary", "#settle > summary", "#editor > summary", "#classes .class:first-child > summary"]) await page.click(one);
    await noSidewaysScroll(page, "results");
    const clipped = await page.evaluate(() => { const box = document.querySelector(".scroll"); return box.scrollWidth - box.clientWidth; });
    if (clipped > 0) told.errors.push(`the table is ${clipped} pixels too wide`);
    await noticeInSight(page, "results");
    const broken = await page.$$eval("#wall .label, #shares th", (all) => all.flatMap((one) => [...one.firstChild.data.matchAll(/[^\s-]+/g)].filter((word) => {
      const range = document.createRange();
      range.setStart(one.firstChild, word.index); range.setEnd(one.firstChild, word.index + word[0].length);
      return range.getClientRects().length > 1;
    }).map((word) => word[0])));
    if (broken.length) told.errors.push(`words are broken: ${broken.join(", ")}`);
    await page.screenshot({ path: `${folder}/narrow.png`, fullPage: true });
    await axe(page, "narrow");
    await page.click("#wall .card");
    await page.waitForSelector(".sentences li");
    await showWhere(page);
    await noSidewaysScroll(page, "evidence");
    const sideways = await page.evaluate(() => { const box = document.getElementById("evidence"); return box.scrollWidth - box.clientWidth; });
    if (sideways > 0) told.errors.push(`the evidence is ${sideways} pixels too wide`);
    await noticeInSight(page, "evidence");
    await axe(page, "narrow evidence");
    await page.screenshot({ path: `${folder}/narrow-evidence.png` });
  },

  async dark() {
    const page = await open({ colorScheme: "dark" });
    await classify(page);
    await page.waitForTimeout(300);
    told.background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await axe(page, "dark");
    await page.screenshot({ path: `${folder}/dark.png` });
    await page.click("#wall .card");
    await page.waitForSelector(".sentences li");
    await showWhere(page);
    await axe(page, "dark evidence");
    await page.screenshot({ path: `${folder}/dark-evidence.png` });
  },

  // Many classes, names in other scripts, and names and sentences as long as they come.
  async crowded() {
    const page = await open({ viewport: { width: 400, height: 800 } });
    const long = "a-very-long-name-without-a-single-space-".repeat(5).slice(0, 190);
    await page.evaluate(async (name) => {
      const { state } = await import("/static/state.js");
      const { drawEditor } = await import("/static/knowledge.js");
      const names = ["細胞の一種", "خلية مستديرة", "клетка крови", name, ...Array.from({ length: 36 }, (_, n) => `class ${n}`)];
      state.base = { kpl_knowledge: 2, task: { name: "crowded", modality: "blood smear" }, classes: names.map((key, n) => ({ key, descriptions: [{ text: `${"a round cell with a dark nucleus ".repeat(n === 3 ? 3 : 1)}${n}` }, { text: `${name.slice(0, 60)} ${n}` }] })) };
      drawEditor();
    }, long.slice(0, 90));
    const data = await Promise.all(files.filter((file) => file.includes("cell-")).map((file) => readFile(file)));
    const named = ["写真.png", "صورة.png", `${long}.png`, ...Array.from({ length: 60 }, (_, n) => `${n}.png`)];
    await classify(page, named.map((name, n) => ({ name, mimeType: "image/png", buffer: data[n % data.length] })));
    told.summary = await page.textContent("#summary");
    await page.click("#adjust > summary");
    told.rows = await page.locator("#shares tr").count();
    told.tableHeight = await page.evaluate(() => document.querySelector(".scroll").clientHeight);
    await noSidewaysScroll(page, "crowded");
    await page.fill("#shares tr:first-child input", "100");
    await page.waitForFunction(() => parseFloat(document.querySelector("#shares tr").cells[1].textContent) === 100);
    await page.fill("#shares tr:first-child input", "40");
    await page.waitForFunction(() => /^40/.test(document.querySelector("#shares output").textContent));
    told.priors = await page.$$eval("#shares output", (all) => all.map((one) => parseFloat(one.textContent)));
    await page.click("#estimated");
    await page.waitForFunction(() => document.getElementById("estimated").disabled);
    await page.click("#more");
    await page.waitForFunction(() => document.querySelectorAll("#wall .card").length === 63);
    await page.click(`#wall .card:has([title^="a-very"])`);
    await page.waitForSelector(".sentences li");
    const wide = await page.evaluate(() => { const box = document.getElementById("evidence"); return box.scrollWidth - box.clientWidth; });
    if (wide > 0) told.errors.push(`the evidence is ${wide} pixels too wide`);
    await noticeInSight(page, "crowded evidence");
    await axe(page, "crowded evidence");
    await page.screenshot({ path: `${folder}/crowded.png` });
  },

  async errors() {
    const page = await open({ allowErrors: true });
    await page.setInputFiles("#files", files);
    await page.waitForFunction(() => document.getElementById("upload").hidden && !document.getElementById("left-out").hidden);
    told.leftOut = await page.textContent("#left-out-list");
    await page.selectOption("#pack", "");
    await page.waitForFunction(() => document.querySelectorAll("#classes .class").length === 2);
    await page.click("#classify");
    await page.waitForFunction(() => !document.getElementById("alert").hidden);
    told.noDescriptions = await page.textContent("#alert-text");
    await axe(page, "error");
    await page.click("#alert-close");
    await page.route("**/jobs", (route) => route.fulfill({ status: 503, headers: { "retry-after": "1" }, json: { detail: "busy" } }), { times: 1 });
    await page.selectOption("#pack", "blood-cells");
    await page.waitForFunction(() => document.querySelectorAll("#classes .class").length === 10);
    await page.click("#classify");
    await page.waitForFunction(() => /busy/.test(document.getElementById("status").textContent));
    told.busy = await page.textContent("#status");
    await page.waitForSelector("#wall .card");
    await page.context().setOffline(true);
    await page.click("#wall .card");
    await page.waitForFunction(() => !document.getElementById("alert").hidden);
    told.offline = await page.textContent("#alert-text");
    await page.click("#alert-close"); // it can be reached: it lies before the open evidence, not behind it
    await page.context().setOffline(false);
    await page.click("#evidence-close");
    await page.evaluate(async () => { const { state } = await import("/static/state.js"); await fetch(`/api/sessions/${state.session}`, { method: "DELETE" }); });
    await page.click("#get-csv");
    await page.waitForFunction(() => /session has ended/.test(document.getElementById("alert-text").textContent));
    told.ended = await page.textContent("#alert-text");
  },

  // A zip, a folder, a drop; a file that is too large; an encoder that is not here.
  async ways() {
    const page = await open({ allowErrors: true });
    told.missing = await page.$$eval("#encoder option:disabled", (all) => all.map((one) => one.textContent));
    const ready = (count) => page.waitForFunction((wanted) => document.getElementById("upload").hidden && document.getElementById("count").textContent.startsWith(`${wanted} picture`), count);
    const [zip, directory, ...loose] = files;
    await page.setInputFiles("#files", zip);
    await ready(3);
    await page.setInputFiles("#folder", directory);
    await ready(5);
    const data = (await readFile(loose[0])).toString("base64");
    const dropped = await page.evaluateHandle((bytes) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0))], "dropped.png", { type: "image/png" }));
      return transfer;
    }, data);
    await page.dispatchEvent("#drop", "drop", { dataTransfer: dropped });
    await ready(6);
    await page.route("**/pictures", (route) => route.fulfill({ status: 413, json: { detail: "at most 256 MiB are taken in one request" } }), { times: 1 });
    await page.setInputFiles("#files", loose[0]);
    await page.waitForFunction(() => !document.getElementById("alert").hidden);
    told.tooLarge = await page.textContent("#alert-text");
    await page.click("#alert-close");
    await page.setInputFiles("#files", { name: "scan.dcm", mimeType: "application/dicom", buffer: Buffer.concat([Buffer.alloc(128), Buffer.from("DICM"), Buffer.alloc(300)]) });
    await page.waitForFunction(() => document.getElementById("count").textContent.includes("1 medical file ready"));
    await page.click("#classify");
    await page.waitForSelector("#wall .card");
    told.leftOut = await page.textContent("#left-out-list");
    told.names = (await page.$$eval("#wall .file", (all) => all.map((one) => one.textContent))).sort();
  },

  // A series and a clip in a folder, a volume and a slide by drop: each is seen with what decided, and stepped through.
  async studies() {
    const page = await open();
    const ready = (count) => page.waitForFunction((wanted) => document.getElementById("upload").hidden && document.getElementById("count").textContent.includes(`${wanted} medical file`), count);
    const [directory, ...loose] = files;
    await page.setInputFiles("#folder", directory);
    await ready(4);
    const dropped = await page.evaluateHandle((given) => {
      const transfer = new DataTransfer();
      for (const [name, bytes] of given) transfer.items.add(new File([Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0))], name));
      return transfer;
    }, await Promise.all(loose.map(async (name) => [name.split("/").pop(), (await readFile(name)).toString("base64")])));
    await page.dispatchEvent("#drop", "drop", { dataTransfer: dropped });
    await ready(4 + loose.length);
    await page.evaluate(async () => { (await import("/static/state.js")).state.largest = 100; });
    await page.setInputFiles("#files", loose[0]);
    await page.waitForSelector("#left-out-list li", { state: "attached" });
    told.tooLarge = await page.textContent("#left-out-list");
    await page.click("#classify");
    await page.waitForSelector("#wall .card");
    told.units = {};
    for (const name of (await page.$$eval("#wall .file", (all) => all.map((one) => one.textContent))).sort()) {
      await page.locator("#wall .card", { hasText: name }).click();
      await page.waitForSelector("#evidence-beside button");
      const kind = /A (\w+) of/.exec(await page.textContent("#evidence-slices-said"))[1];
      const seen = told.units[kind] = { said: await page.textContent("#evidence-slices-said"), curve: await page.isVisible("#evidence-curve"), slide: await page.isVisible("#evidence-slide") };
      seen.shown = await page.$$eval("#evidence-beside img", (all) => all.map((one) => one.alt));
      await page.waitForFunction(() => [...document.querySelectorAll("#evidence-beside img")].every((one) => one.naturalWidth > 0));
      const instance = () => page.textContent("#evidence-instance");
      seen.first = await instance();
      await page.locator("#evidence-beside button").last().focus();
      await page.keyboard.press("Enter");
      seen.chosen = await instance();
      await page.keyboard.press(",");
      seen.back = await instance();
      await page.waitForFunction((before) => document.getElementById("evidence-picture").alt.includes(before.split(":")[0]), seen.back);
      seen.large = await page.getAttribute("#evidence-picture", "src");
      if (kind === "slide") {
        await page.evaluate(() => fetch(document.querySelector("#evidence-slide image").getAttribute("href")).then((answer) => answer.ok || Promise.reject(answer.status)));
        seen.frames = await page.$$eval("#evidence-slide rect", (all) => all.length);
        await page.screenshot({ path: `${folder}/slide.png` });
        await page.setViewportSize({ width: 400, height: 800 });
        await page.emulateMedia({ colorScheme: "dark" });
        await page.locator("#evidence-slide").scrollIntoViewIfNeeded();
        await page.screenshot({ path: `${folder}/slide-narrow.png` });
        await noSidewaysScroll(page, "slide");
        await axe(page, "slide, narrow and dark");
        await page.setViewportSize({ width: 1100, height: 900 });
        await page.emulateMedia({ colorScheme: "light" });
      }
      if (kind === "clip") {
        await page.screenshot({ path: `${folder}/clip.png` });
        await axe(page, "clip");
      }
      await page.keyboard.press("Escape");
      await page.waitForFunction(() => !document.getElementById("evidence").open);
    }
  },

  // Pictures of no listed class are called so, beside others without a label, and the page goes back.
  async unlisted() {
    const page = await open();
    await classify(page);
    const labels = () => page.$$eval("#wall .label", (nodes) => nodes.map((node) => node.textContent));
    told.before = await labels();
    await page.check("#other");
    await page.waitForFunction(() => document.getElementById("counts").textContent.includes("none of these"));
    told.counts = await page.textContent("#counts");
    told.after = await labels();
    await axe(page, "unlisted");
    await page.selectOption("#only", "none of these");
    told.shown = await page.$$eval("#wall .file", (nodes) => nodes.map((node) => node.textContent));
    await page.click("#wall .card");
    await page.waitForFunction(() => document.getElementById("evidence-said").textContent !== "");
    told.said = await page.textContent("#evidence-said");
    await page.fill("#reader", "Dr. A. Example");
    await page.click("#correct-right");
    await page.waitForFunction(() => !document.getElementById("correct-undo").disabled);
    await page.click("#evidence-close");
    told.corrected = await page.$$eval("#wall .own", (nodes) => nodes.map((node) => node.textContent).filter(Boolean));
    await page.selectOption("#only", "all");
    await download(page, "#get-csv", "predictions.csv");
    await page.$eval("#least", (slider) => { slider.value = 100; slider.dispatchEvent(new Event("input", { bubbles: true })); });
    await page.waitForFunction(() => document.getElementById("least-said").textContent.includes("without a label"));
    told.both = await labels();
    told.least = await page.textContent("#least-said");
    await page.$eval("#least", (slider) => { slider.value = 0; slider.dispatchEvent(new Event("input", { bubbles: true })); });
    await page.waitForFunction(() => document.getElementById("least-said").textContent.startsWith("Every picture"));
    await page.uncheck("#other");
    await page.waitForFunction(() => !document.getElementById("counts").textContent.includes("none of these"));
    told.again = await labels();
  },

  // Two drops, one behind the other; archives that are refused; a stop; what the page says is what the server holds.
  async queue() {
    const page = await open();
    const [good, bad, ...loose] = files;
    const numbers = async () => [await page.textContent("#count"), await page.isVisible("#left-out") ? await page.textContent("#left-out-title") : ""];
    const held = () => page.evaluate(async () => { const { path } = await import("/static/state.js"); const now = await (await fetch(path())).json(); return [now.pictures, now.left_out.length]; });
    const still = () => page.waitForFunction(() => document.getElementById("upload").hidden && !document.getElementById("classify").disabled);
    let release;
    const slow = new Promise((done) => { release = done; });
    await page.route("**/pictures", async (route) => { await slow; await route.continue(); }, { times: 1 });
    await page.setInputFiles("#files", good);
    await page.waitForFunction(() => !document.getElementById("upload").hidden);
    await page.setInputFiles("#files", [...loose, bad]);
    await page.waitForTimeout(300);
    release();
    await page.waitForFunction(() => /^[1-9]\d* picture/.test(document.getElementById("count").textContent));
    await still();
    told.numbers = await numbers();
    told.held = await held();
    told.reasons = await page.textContent("#left-out-list");

    await page.route("**/pictures", async (route) => { await new Promise((done) => setTimeout(done, 60000)); await route.abort().catch(() => {}); }, { times: 1 });
    await page.setInputFiles("#files", loose[0]);
    await page.waitForFunction(() => !document.getElementById("upload").hidden);
    await page.click("#upload-stop");
    await still();
    told.stopped = await page.textContent("#left-out-list");
    told.after = [...await numbers(), ...await held()];
  },

  // What is done twice, half, or while something else is at work.
  async hasty() {
    const page = await open();
    await page.setInputFiles("#files", files);
    await page.waitForFunction(() => !document.getElementById("classify").disabled);
    await page.evaluate(() => { const button = document.getElementById("classify"); button.click(); button.click(); });
    await page.waitForSelector("#wall .card");
    told.alert = await page.isVisible("#alert");

    const says = (text) => page.waitForFunction((wanted) => document.getElementById("former").textContent.includes(wanted), text);
    let release;
    const slow = new Promise((done) => { release = done; });
    await page.route("**/knowledge", async (route) => { await slow; await route.continue(); }, { times: 1 });
    await page.selectOption("#pack", "brain-mri");
    await says("press Classify"); // it is refused until it is insisted on
    await page.check("#insist");
    await page.click("#classify");
    await says("Classifying again ...");
    release();
    await page.waitForFunction(() => document.getElementById("former").hidden);
    await page.selectOption("#pack", "blood-cells");
    await page.waitForFunction(() => document.getElementById("job").hidden && document.getElementById("former").hidden && document.querySelectorAll("#shares tr").length === 10);

    await page.click("#wall .card");
    await page.waitForSelector(".sentences li");
    const title = await page.textContent("#evidence-title"), sentence = await page.textContent(".sentences .text span");
    await page.click(".sentences button");
    await page.fill(".sentences input", "a round thing that was typed");
    for (const leave of ["#next", ".near .card", "#evidence-close", "#refit"]) await page.click(leave);
    await page.focus("#map-class");
    await page.keyboard.press("Escape");
    told.kept = [await page.textContent("#evidence-title") === title, await page.inputValue(".sentences input"), await page.textContent("#evidence-note")];
    await axe(page, "editing");
    await page.screenshot({ path: `${folder}/editing.png` });
    await page.click(".sentences button:has-text('Cancel')");
    told.cancelled = await page.textContent(".sentences .text span") === sentence;
    await page.click(".sentences button");
    await page.fill(".sentences input", "a round thing that was saved");
    await page.click(".sentences button:has-text('Save')");
    await page.waitForFunction(() => document.getElementById("status").textContent === "The sentence is changed.");
    await page.click("#evidence-close");
    await page.click("#editor > summary");
    await download(page, "#get-knowledge", "knowledge.yaml");

    const [document_] = await Promise.all([page.context().waitForEvent("page"), page.click("#openapi")]);
    await document_.waitForLoadState();
    told.openapi = (await document_.textContent("body")).includes("/api/sessions/{session_id}");
    await document_.close();
    told.stays = await page.isVisible("#wall .card");

    // The stream of events breaks, and the server is not there any more.
    await page.evaluate(() => {
      const real = window.fetch;
      window.fetch = async (url, options) => {
        if (url.endsWith("/events")) return new Response(new ReadableStream({ start(stream) { stream.error(new TypeError("network error")); } }));
        if (options.method === "GET" && url.includes("api/jobs/")) throw new TypeError("Failed to fetch");
        return real(url, options);
      };
    });
    await page.click("#classify");
    await page.waitForFunction(() => !document.getElementById("alert").hidden);
    told.killed = await page.textContent("#alert-text");
  },

  async hostile() {
    const page = await open();
    const text = '<img src=x onerror=alert(1)>"><script>alert(2)</script>';
    await page.selectOption("#pack", "");
    await page.waitForFunction(() => document.querySelectorAll("#classes .class").length === 2);
    await page.fill("#modality", "blood smear");
    await page.press("#modality", "Tab");
    for (const [place, more] of [[0, "round"], [1, "square"]]) {
      await page.fill(`#name-${place}`, `${text}${place}`);
      await page.fill(`#sentences-${place}`, `${text} ${more}\n${more} javascript:alert(3)`);
      await page.press(`#sentences-${place}`, "Tab");
    }
    const data = await readFile(files[0]);
    await classify(page, [`${text}.png`, `"><svg onload=alert(4)>.png`, "=cmd|' '.png"].map((name) => ({ name, mimeType: "image/png", buffer: data })));
    await page.click("#wall .card");
    await page.waitForSelector(".sentences li");
    await page.click("#evidence-close");
    told.shown = await page.textContent("#wall");
    told.injected = await page.evaluate(() => document.querySelectorAll("main script, main svg, main img[onerror], dialog script").length);
    await download(page, "#get-report", "report.html");
    const report = await page.context().newPage();
    report.on("dialog", (dialog) => { told.dialogs += 1; dialog.dismiss(); });
    await report.goto(`file://${folder}/report.html`);
    told.reportInjected = await report.evaluate(() => document.querySelectorAll("script:not(#all-data, #all-data + script), img[onerror], svg[onload]").length);
    told.report = (await report.textContent("body")).includes("onerror=alert(1)");
  },

  async token() {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(address);
    await page.fill("#token-value", "wrong");
    await page.click("#token button");
    await page.waitForFunction(() => !document.getElementById("alert").hidden);
    told.wrong = await page.textContent("#alert-text");
    page.on("dialog", (dialog) => { told.asked = (told.asked || 0) + 1; dialog.accept(); });
    await page.fill("#token-value", process.env.STORY_TOKEN);
    await page.click("#token button");
    await page.waitForFunction(() => document.querySelectorAll("#classes .class").length > 0);
    await classify(page);
    await page.waitForFunction(() => document.querySelector("#wall img").naturalWidth > 0);
    await download(page, "#get-csv", "predictions.csv");
    await download(page, "#openapi", "openapi.json");
    const former = () => page.waitForFunction(() => !document.getElementById("former").hidden);
    if (!(await page.isHidden("#former"))) told.errors.push("a fresh result is called a former one");
    await page.setInputFiles("#files", files[0]);
    await former();
    told.formerPictures = await page.textContent("#former");
    await page.click("#classify");
    await page.waitForFunction(() => document.getElementById("former").hidden);
    await page.selectOption("#pack", "");
    await former();
    told.formerKnowledge = await page.textContent("#former");
    told.left = await leaves(page, () => page.reload(), { authorization: `Bearer ${process.env.STORY_TOKEN}` });
  },

  async leaving() {
    const page = await open();
    await classify(page);
    told.reloaded = await leaves(page, () => page.reload());
    await page.waitForFunction(() => document.querySelectorAll("#classes .class").length > 0);
    await classify(page);
    told.closed = await leaves(page, () => page.goto("about:blank"));
  },

  // Class priors: to 100 % and back, while a slow answer for k is on its way, and back to the estimated one.
  async priors() {
    const page = await open();
    await classify(page);
    await page.click("#adjust > summary");
    const table = () => page.$$eval("#shares tr", (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent).concat(row.querySelector("input").value)));
    const outputs = () => page.$$eval("#shares output", (all) => all.map((one) => parseFloat(one.textContent)));
    const slide = async (row, value) => {
      const answer = page.waitForResponse((one) => one.url().endsWith("/predictions") && one.request().method() === "POST");
      await page.fill(`#shares tr:nth-child(${row}) input`, String(value));
      await answer;
    };
    told.start = await table();
    await slide(1, 10); await slide(2, 30); await slide(3, 5);
    told.spread = await outputs();
    const at = told.spread.indexOf(Math.max(...told.spread)) + 1;
    const before = told.spread[at - 1];
    await slide(at, 100);
    told.all = await outputs();
    await slide(at, before);
    told.back = await outputs();

    // The answer for k is held back until a prior was moved.
    let release;
    const held = new Promise((done) => { release = done; });
    await page.route("**/predictions", async (route) => { await held; await route.continue(); }, { times: 1 });
    await page.fill("#k", "2");
    await page.fill("#shares tr:nth-child(1) input", "60");
    await page.evaluate(() => document.activeElement.blur());
    await page.evaluate(() => {
      window.seen = [];
      new MutationObserver(() => window.seen.push(document.querySelector("#shares output").textContent)).observe(document.getElementById("shares"), { childList: true, characterData: true, subtree: true });
    });
    const second = page.waitForResponse((one) => one.request().method() === "POST" && /"k":2,"prior":\{/.test(one.request().postData() || ""));
    release();
    await second;
    await page.waitForFunction(() => !document.getElementById("estimated").disabled && document.getElementById("k-value").textContent.startsWith("2 of"));
    told.slow = [...new Set((await page.evaluate(() => window.seen)).map(parseFloat))];
    told.value = Number(await page.inputValue("#shares tr:nth-child(1) input"));

    const most = await page.getAttribute("#k", "max");
    await page.fill("#k", most);
    await page.waitForFunction((k) => document.getElementById("k-value").textContent.startsWith(`${k} of`), most);
    await page.click("#estimated");
    await page.waitForFunction(() => document.getElementById("estimated").disabled);
    told.end = await table();
  },

  // Knowledge about other pictures than the encoder was made for.
  async misfit() {
    const page = await open();
    const said = async () => ((await page.isVisible("#misfit")) ? page.textContent("#misfit") : "");
    const shows = (pattern) => page.waitForFunction((text) => new RegExp(text).test(document.getElementById("misfit").textContent), pattern);
    told.fits = await said();
    await page.selectOption("#pack", "brain-mri");
    await shows("brain MRI");
    told.other = await said();
    told.kindOfPack = await page.isVisible("#kind");
    await axe(page, "misfit");
    await page.setInputFiles("#files", files);
    await page.waitForFunction(() => !document.getElementById("classify").disabled);
    await page.click("#classify");
    await page.waitForFunction(() => !document.getElementById("alert").hidden);
    told.refused = [await page.textContent("#alert-text"), await page.isHidden("#results"), await page.evaluate(() => document.activeElement.id)];
    await page.click("#alert-close");
    await page.click("#clear");
    await page.waitForFunction(() => document.getElementById("count").textContent === "No pictures yet.");
    await page.selectOption("#pack", "");
    await shows("say what kind");
    told.unsaid = await said();
    await page.fill("#modality", "Blood-Smears");
    await page.press("#modality", "Tab");
    await page.waitForFunction(() => document.getElementById("misfit").hidden);
    for (const [place, text] of [[0, "a round cell"], [1, "a cell with a lobed nucleus"]]) {
      await page.fill(`#sentences-${place}`, text);
      await page.press(`#sentences-${place}`, "Tab");
    }
    await axe(page, "own classes");
    await classify(page);
    told.notes = await page.textContent("#warnings");
  },

  // A finished run is looked at, corrected by keyboard, read by a second reader, and settled; narrow and dark too.
  async reading() {
    const page = await open();
    await axe(page, "runs");
    await page.click("#open-run");
    await page.waitForFunction(() => document.activeElement.id === "results-title");
    told.count = await page.textContent("#count");
    told.counts = await page.textContent("#counts");
    await page.click("#contradicted > summary");
    told.contradicted = await page.textContent("#contradicted");
    await page.waitForFunction(() => document.querySelector("#wall img").naturalWidth > 0);
    await page.fill("#find", "cell-3");
    told.found = await page.$$eval("#wall .file", (all) => all.map((one) => one.textContent));
    await page.fill("#find", "");
    await page.click("#adjust > summary");
    told.adjustable = await page.isEnabled("#k");
    await axe(page, "run");
    await page.focus("#correct-start");
    const key = (name) => page.keyboard.press(name);
    const title = () => page.textContent("#evidence-title");
    const moves = async (name) => {
      const before = await title();
      await key(name);
      await page.waitForFunction((was) => document.getElementById("evidence-title").textContent !== was, before);
      return before;
    };
    await key("Enter");
    await page.waitForFunction(() => document.activeElement.id === "reader");
    await page.keyboard.type("Dr. Ann");
    await key("Tab");
    await page.waitForFunction(() => document.activeElement.id === "correct-right");
    told.right = await moves("a");
    told.second = await moves("2");
    told.none = await moves("n");
    told.unsure = await moves("u");
    await moves("z");
    told.back = await title();
    told.said = await page.textContent("#correct-said");
    await page.uncheck("#letters"); // by hand: then no letter answers
    await key("n");
    told.quiet = await page.textContent("#correct-undo");
    await page.check("#letters");
    await page.click("#enlarge");
    await axe(page, "correcting");
    await page.screenshot({ path: `${folder}/correcting.png` });
    await key("Escape");
    await page.waitForFunction(() => !document.getElementById("evidence").open);
    await page.selectOption("#only", "read");
    told.mine = await page.$$eval("#wall .own", (all) => all.map((one) => one.textContent));
    await download(page, "#get-corrections", "corrections.csv");
    await page.selectOption("#only", "all");

    // Another reader, who sees nothing of the first; then both settle.
    await page.fill("#find", told.right);
    await page.click("#wall .card");
    await page.fill("#reader", "Bob");
    await page.press("#reader", "Tab");
    await page.waitForFunction(() => document.getElementById("correct-undo").disabled);
    told.blind = await page.textContent("#correct-said");
    await page.click("#correct-none");
    await page.waitForFunction(() => !document.getElementById("correct-undo").disabled);
    await page.click("#evidence-close");
    await page.fill("#find", "");
    await page.click("#settle > summary");
    await page.waitForSelector("#settle-list button");
    told.settle = [await page.textContent("#settle-said"), await page.textContent("#settle-list")];
    await axe(page, "settle");
    await page.click("#settle-list button");
    await page.waitForFunction(() => document.getElementById("correct-title").textContent.startsWith("Settle"));
    await key("a");
    await page.waitForFunction(() => /last one/.test(document.getElementById("correct-said").textContent));
    await key("Escape");
    await page.click("#clear");
    await page.waitForFunction(() => document.getElementById("results").hidden);

    for (const [where, options] of [["narrow", { viewport: { width: 400, height: 800 } }], ["dark", { colorScheme: "dark" }]]) {
      const other = await open(options);
      await noSidewaysScroll(other, `${where} runs`);
      await other.click("#open-run");
      await other.waitForSelector("#wall .card");
      await noSidewaysScroll(other, `${where} run`);
      await other.click("#wall .card");
      await other.waitForSelector("#correct-classes button");
      const wide = await other.evaluate(() => { const box = document.getElementById("evidence"); return box.scrollWidth - box.clientWidth; });
      if (wide > 0) told.errors.push(`${where}: correcting is ${wide} pixels too wide`);
      await axe(other, `${where} correcting`);
      await other.screenshot({ path: `${folder}/correcting-${where}.png` });
    }
  },

  // A table of labels marks every picture right or wrong, by keyboard; on a narrow and a dark screen too.
  async scoring() {
    const [table, ...pictures] = files;
    for (const [where, options] of [["wide", {}], ["narrow", { viewport: { width: 400, height: 800 } }], ["dark", { colorScheme: "dark" }]]) {
      const page = await open(options);
      await classify(page, pictures);
      await page.click("#scoring > summary");
      await page.setInputFiles("#label-file", table);
      await page.focus("#score");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#scores-rows tr");
      told[where] = await page.$$eval("#wall .card", (all) => Object.fromEntries(all.map((one) => [one.querySelector(".file").textContent, one.querySelector(".truth").textContent])));
      await noSidewaysScroll(page, `${where} scores`);
      await axe(page, `${where} scores`);
      await page.selectOption("#only", "wrong");
      told.wrong = await page.$$eval("#wall .file", (all) => all.map((one) => one.textContent));
      await page.screenshot({ path: `${folder}/scores-${where}.png`, fullPage: true });
      await page.click("#wall .card");
      await page.waitForSelector(".sentences li");
      told.said = await page.textContent("#evidence-truth");
      await axe(page, `${where} scored evidence`);
    }
  },

  // A run of several labels a picture: its classes, its pictures, the sentences of one, and its scores.
  async findings() {
    const [table] = files;
    for (const [where, options] of [["wide", {}], ["narrow", { viewport: { width: 400, height: 800 } }], ["dark", { colorScheme: "dark" }]]) {
      const page = await open(options);
      await page.click("#open-run");
      await page.waitForFunction(() => document.activeElement.id === "results-title");
      await page.waitForFunction(() => document.querySelector("#findings-wall img").naturalWidth > 0);
      told.summary = await page.textContent("#findings-summary");
      told.results = await page.isVisible("#results");
      told.classes = await page.$$eval("#findings-rows tr", (all) => all.map((one) => [...one.cells].map((cell) => cell.textContent)));
      await noSidewaysScroll(page, `${where} findings`);
      await axe(page, `${where} findings`);
      await page.selectOption("#findings-class", "1");
      told.ordered = await page.$$eval("#findings-wall .file", (all) => all.map((one) => one.textContent));
      await page.focus("#findings-wall .card");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#found[open] details");
      await page.click("#found-classes summary");
      told.sentence = await page.textContent("#found-classes li");
      await axe(page, `${where} found`);
      await page.keyboard.press("Escape");
      await page.click("#scoring > summary");
      await page.setInputFiles("#label-file", table);
      await page.click("#reading > summary");
      await page.fill("#label-none", "none");
      await page.click("#score");
      await page.waitForSelector("#scores-rows tr");
      told.scores = await page.$$eval("#scores-rows tr", (all) => all.map((one) => [...one.cells].slice(0, 2).map((cell) => cell.textContent)));
      told.notes = await page.textContent("#scores-notes");
      await noSidewaysScroll(page, `${where} scores of findings`);
      await axe(page, `${where} scores of findings`);
      await page.screenshot({ path: `${folder}/findings-${where}.png`, fullPage: true });
      await page.click("#clear");
      await page.waitForSelector("#findings", { state: "hidden" });
      told.scoring = await page.isVisible("#scoring");
    }
  },

  // Labels from a folder of class folders: their paths are sent, and no picture.
  async folders() {
    const [labels, ...pictures] = files;
    const page = await open();
    await classify(page, pictures);
    await page.click("#scoring > summary");
    await page.setInputFiles("#label-folder", labels);
    const sent = page.waitForRequest((one) => one.url().includes("/scores"));
    await page.click("#score");
    await page.waitForSelector("#scores-rows tr");
    told.sent = Number(await (await sent).headerValue("content-length"));
    told.of = await page.textContent("#scores-of");
    told.notes = await page.textContent("#scores-notes");
  },

  // A table of labels calibrates, and pictures of little confidence are left without a label, by keyboard.
  async calibrating() {
    const [table, ...pictures] = files;
    for (const [where, options] of [["wide", {}], ["narrow", { viewport: { width: 400, height: 800 }, colorScheme: "dark" }]]) {
      const page = await open(options);
      await classify(page, pictures);
      const sure = () => page.$$eval("#wall .label", (all) => all.map((one) => one.textContent));
      told.before = await sure();
      await page.focus("#scoring > summary");
      await page.keyboard.press("Enter");
      await page.setInputFiles("#label-file", table);
      await page.focus("#calibrate");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#calibrated:not([hidden])");
      told.said = await page.textContent("#calibrated");
      await page.waitForFunction(() => document.getElementById("status").textContent === "Calibrated." && document.activeElement !== document.body);
      told.focus = await page.evaluate(() => document.activeElement.id);
      told.after = await sure();
      await page.focus("#score");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#scores-rows tr");
      await noSidewaysScroll(page, `${where} calibrated`);
      await axe(page, `${where} calibrated`);
      await page.screenshot({ path: `${folder}/calibrated-${where}.png`, fullPage: true });
      await page.click("#adjust > summary");
      await page.focus("#least");
      const some = () => page.waitForFunction(() => /without a label/.test(document.getElementById("least-said").textContent), null, { timeout: 1000 }).then(() => true, () => false);
      for (let n = 0; n < 10 && !(await some()); n += 1) await page.keyboard.press("PageUp");
      told.least = await page.textContent("#least-said");
      await page.selectOption("#only", "bare");
      told.bare = await sure();
      await axe(page, `${where} least`);
      await noSidewaysScroll(page, `${where} least`);
      await page.screenshot({ path: `${folder}/least-${where}.png`, fullPage: true });
      if (where === "wide") await download(page, "#get-calibration", "calibration.json");
      // a class gets a confidence of its own; one for every class takes it back
      await page.selectOption("#least-of", "neutrophil");
      await page.focus("#least");
      await page.keyboard.press("End");
      const called = told.before.filter((text) => text.includes("neutrophil")).length;
      await page.waitForFunction((wanted) => [...document.querySelectorAll("#wall .label")].filter((node) => /neutrophil/.test(node.textContent)).length === wanted, called);
      told.own = await sure();
      told.classes = await page.textContent("#least-said");
      await page.selectOption("#least-of", "");
      await page.focus("#least");
      await page.keyboard.press("Home");
      await page.waitForFunction((count) => document.querySelectorAll("#wall .card").length === count, pictures.length); // none is bare: all are shown
    }
  },

  // A knowledge file is opened by keyboard; one that is none is said, and what was chosen stays.
  async bringing() {
    const page = await open({ allowErrors: true, viewport: { width: 400, height: 800 } });
    const [good, bad, ...pictures] = files;
    const pick = async (file) => {
      const chooser = page.waitForEvent("filechooser");
      await page.focus("#open-knowledge");
      await page.keyboard.press("Enter");
      await (await chooser).setFiles(file);
    };
    await pick(bad);
    await page.waitForFunction(() => !document.getElementById("alert").hidden);
    told.refused = [await page.textContent("#alert-text"), await page.inputValue("#pack")];
    await page.click("#alert-close");
    await pick(good);
    await page.waitForFunction(() => /is open/.test(document.getElementById("status").textContent));
    told.about = await page.textContent("#pack-about");
    await noSidewaysScroll(page, "knowledge file");
    await axe(page, "knowledge file");
    await classify(page, pictures);
    told.summary = await page.textContent("#counts");
    await page.screenshot({ path: `${folder}/bringing.png`, fullPage: true });
  },

  async figures() {
    const times = [];
    for (let n = 0; n < 5; n += 1) {
      const page = await open();
      times.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime));
      told.bytes = await page.evaluate(() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
        .filter((one) => !one.name.includes("/api/")).reduce((sum, one) => sum + one.transferSize, 0));
      await page.context().close();
    }
    told.firstPaint = times.sort((a, b) => a - b);
  },
};

try {
  await stories[story]();
} catch (error) {
  told.failed = error.stack;
  const [page] = browser.contexts().at(-1)?.pages() ?? [];
  if (page) await page.screenshot({ path: `${folder}/failed-${story}.png` }).catch(() => {});
}
process.stdout.write(JSON.stringify(told));
// A page that is left ends its session; all stories share the sessions that one address may have.
for (const page of browser.contexts().flatMap((context) => context.pages())) {
  await page.goto("about:blank", { timeout: 2000 }).catch(() => {});
}
await new Promise((done) => { setTimeout(done, 200); });
await browser.close();
