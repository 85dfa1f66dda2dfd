// Pictures on their way to the server: files, folders and zips, a few at a time.

import { ask } from "/static/api.js";
import { $ } from "/static/dom.js";
import { attempt, fail, page, path, say, state } from "/static/state.js";

const MOST_FILES = 24;
const MOST_BYTES = 32 * 2 ** 20;
let stopper = null;

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

function* lots(files) {
  let lot = []; let bytes = 0;
  for (const [name, file] of files) {
    if (lot.length && (lot.length === MOST_FILES || bytes + file.size > MOST_BYTES)) { yield lot; lot = []; bytes = 0; }
    lot.push([name, file]); bytes += file.size;
  }
  if (lot.length) yield lot;
}

export async function uploadAll(files) {
  if (stopper) stopper.abort();
  const own = stopper = new AbortController();
  const bar = $("upload-bar");
  $("upload").hidden = false; bar.max = files.length; bar.value = 0;
  let done = 0;
  try {
    for (const lot of lots(files)) {
      $("upload-text").textContent = `Reading pictures: ${done} of ${files.length}`;
      const form = new FormData();
      for (const [name, file] of lot) form.append("files", file, name);
      let said;
      try {
        said = await ask("POST", path("/pictures"), { form, signal: own.signal, onBusy: () => say("The server is busy: waiting.") });
      } catch (error) {
        if (error.status !== 413 && error.status !== 422) throw error;
        for (const [name] of lot) state.leftOut.push({ name, reason: error.message });
        if (lot.length > 1 || error.status === 413) fail(error);
        said = { added: [], left_out: [] };
      }
      state.pictures += said.added.length;
      state.leftOut.push(...said.left_out);
      done += lot.length; bar.value = done; page.update();
    }
    say(`${state.pictures} pictures ready, ${state.leftOut.length} left out.`);
    if (state.pictures) $("classify").focus();
  } finally {
    if (stopper === own) { stopper = null; $("upload").hidden = true; }
    page.update();
  }
}

$("upload-stop").addEventListener("click", attempt(async () => { if (stopper) stopper.abort(); say("Stopped."); await refresh(); }));

async function refresh() {
  if (!state.session) return;
  const now = await ask("GET", path());
  state.pictures = now.pictures; page.update();
}
