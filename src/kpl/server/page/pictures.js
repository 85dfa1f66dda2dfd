// Pictures on their way to the server: files, folders and zips, a few at a time.

import { ask } from "./api.js";
import { $ } from "./dom.js";
import { attempt, fail, page, path, say, state, sync } from "./state.js";

const MOST_FILES = 24;
const MOST_BYTES = 32 * 2 ** 20;
let queue = []; // what is still to be sent: a drop while another is read stands behind it
let stopper = null;
let running = null;

// What was chosen or dropped, as [name, file]; folders are walked through.
export async function collect(given) {
  if (Array.isArray(given)) return given.map((file) => [file.webkitRelativePath || file.name, file]);
  const entries = [...given.items].map((item) => (item.webkitGetAsEntry ? item.webkitGetAsEntry() : null)).filter(Boolean);
  if (entries.length === 0) return [...given.files].map((file) => [file.name, file]);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry, found) {
  if (entry.name.startsWith(".")) return;
  if (entry.isFile) {
    found.push([entry.fullPath.replace(/^\//, ""), await new Promise((done, not) => entry.file(done, not))]);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, not) => reader.readEntries(done, not));
    if (some.length === 0) return;
    for (const inner of some) await walk(inner, found);
  }
}

// Take from the queue what goes into one request.
function nextLot() {
  let count = 0, bytes = 0;
  while (count < queue.length && (count === 0 || (count < MOST_FILES && bytes + queue[count][1].size <= MOST_BYTES))) bytes += queue[count++][1].size;
  return queue.splice(0, count);
}

// What is too large to be taken never leaves this machine.
function notLarge([name, file]) {
  if (file.size <= state.largest || /\.zip$/i.test(name)) return true;
  notTaken([[name]], `file of ${Math.floor(file.size / 2 ** 20)} MiB: at most ${Math.floor(state.largest / 2 ** 20)} MiB are taken here; leave it where it is, and read it there with kpl classify: kpl serve --run RUN shows the result`);
  return false;
}

export async function uploadAll(files) {
  queue = queue.concat(files.filter(notLarge));
  if (!queue.length) page.update();
  while (queue.length) await (running ??= work().finally(() => { running = null; }));
}

const notTaken = (files, reason) => { state.unsent.push(...files.map(([name]) => ({ name, reason }))); };

async function work() {
  stopper = new AbortController();
  const bar = $("upload-bar"), { signal } = stopper;
  let done = 0;
  $("upload").hidden = false; $("upload-stop").disabled = false;
  try {
    while (queue.length) {
      bar.max = done + queue.length; bar.value = done;
      $("upload-text").shownText = `Reading pictures: ${done} of ${bar.max}`;
      const lot = nextLot();
      const form = new FormData();
      for (const [name, file] of lot) form.append("files", file, name);
      try {
        await ask("POST", path("/pictures"), { form, signal, onBusy: () => say("The server is busy: waiting.") });
      } catch (error) {
        notTaken(lot, error.name === "AbortError" ? "stopped before it was read" : error.message);
        if (error.status !== 413 && error.status !== 422) throw error;
        fail(error); // refused as a whole: nothing of it was taken
      }
      done += lot.length;
      await sync();
    }
    say(counts());
    if (state.held.pictures + state.held.waiting && (document.activeElement === document.body || $("drop").contains(document.activeElement))) $("classify").focus();
  } catch (error) {
    notTaken(queue.splice(0), error.name === "AbortError" ? "stopped before it was sent" : error.message);
    if (error.name !== "AbortError") throw error;
    await settle();
    say(`Stopped. ${counts()}`);
  } finally {
    $("upload").hidden = true;
    page.update();
  }
}

export const leftOut = () => [...state.held.left_out, ...state.unsent];
// What is ready, in words: slices of a study wait until it is put together.
export function counted() {
  const { pictures, waiting } = state.held, some = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
  if (waiting) return `${pictures ? `${some(pictures, "picture")} and ` : ""}${some(waiting, "medical file")} ready: Classify puts these together.`;
  return pictures ? `${some(pictures, "picture")} ready.` : "No pictures yet.";
}
const counts = () => `${counted()} ${leftOut().length} left out.`;

// A request that is given up may be in the server's hands: wait until its numbers stand.
async function settle() {
  for (let before = ""; before !== counts();) {
    before = counts();
    await new Promise((done) => setTimeout(done, 500));
    await sync();
  }
}

$("upload-stop").addEventListener("click", attempt(async () => {
  $("upload-stop").disabled = true; $("upload-text").shownText = "Stopping";
  stopper?.abort();
}));
