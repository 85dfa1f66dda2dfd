// The page: what is chosen, what is sent, and which part shows what.

import { ask, followJob, hasToken, leave, Problem, save, setToken } from "./api.js";
import { $, handOver, make } from "./dom.js";
import { drawEditor, emptyBase, misfit, nameWithout } from "./knowledge.js";
import { stopMap } from "./map.js";
import { collect, counted, leftOut, uploadAll } from "./pictures.js";
import { refreshEvidence } from "./evidence.js";
import { forgetFindings, openFindings } from "./findings.js";
import { forget, openResults } from "./results.js";
import { attempt, forgetSession, knowledge, page, path, quiet, say, state, sync, view } from "./state.js";

const LISTED = 500; // as many files left out the server names

function askForToken() {
  $("work").hidden = true; $("token").hidden = false;
  if (hasToken()) { $("alert-text").shownText = "That is not the token of this server."; $("alert").hidden = false; }
  $("token-value").focus();
}

$("alert-close").addEventListener("click", () => { quiet(); (document.querySelector("dialog[open] [id$='-close']") ?? $("main")).focus(); });
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token-value").value);
  $("token").hidden = true; $("work").hidden = false;
  attempt(begin)();
});

async function begin() {
  let runs;
  [state.encoders, state.packs, runs] = await Promise.all([ask("GET", "api/encoders"), ask("GET", "api/packs"), ask("GET", "api/runs")]);
  state.runs = runs;
  $("runs").hidden = runs.length === 0;
  $("run").replaceChildren(...runs.map((one) => make("option", { value: one.name, textContent: `${one.name}: ${one.title}, ${one.knowledge}` })));
  $("encoder").replaceChildren(...state.encoders.map((one) => make("option", {
    value: one.name, disabled: !one.here, textContent: one.here ? one.name : `${one.name} (not here: kpl encoders pull ${one.name})`,
  })));
  $("encoder").value = state.encoder;
  $("pack").replaceChildren(
    ...state.packs.map((one) => make("option", {
      value: one.name, textContent: `${one.name}: ${one.classes} classes${one.own ? ", your own" : ""}`,
    })),
    make("option", { value: "", textContent: "My own classes and descriptions" }),
  );
  $("pack").value = state.packs.some((one) => one.name === "blood-cells") ? "blood-cells" : "";
  aboutEncoder();
  await choosePack();
}

function aboutEncoder() {
  const one = state.encoders.find((known) => known.name === $("encoder").value);
  $("encoder-about").shownText = one ? `${one.title}. For: ${one.intended_use} Licence: ${one.licence}.` : "";
  aboutFit();
}

const unfit = () => misfit(state.encoders.find((known) => known.name === $("encoder").value), $("pack").value);

function aboutFit() {
  const said = unfit();
  if (!said) state.insist = $("insist").checked = false;
  $("misfit").hidden = !said;
  $("misfit-text").shownText = said;
}

async function choosePack(file = null) {
  const name = $("pack").value;
  const base = file ?? (name ? await ask("GET", `api/packs/${encodeURIComponent(name)}`) : emptyBase());
  const sentences = base.classes.reduce((sum, one) => sum + one.descriptions.length, 0), { name: title, modality } = base.task;
  state.insist = $("insist").checked = false;
  state.base = base;
  $("pack-about").shownText = name || file
    ? `${title}. ${base.classes.length} classes, ${sentences} descriptions${modality ? `, for ${modality}` : ""}.`
    : "Write at least two classes, each with what is seen in its pictures.";
  $("editor").open = !name && !file;
  $("kind").hidden = Boolean(name);
  $("modality").value = state.base.task.modality || "";
  drawEditor();
  await knowledgeChanged();
}

async function knowledgeChanged() {
  aboutFit();
  update();
  if (!$("results").hidden && state.held.pictures && !refused() && !state.run) await classify();
}

// The result stands until there is another: say of what it is.
function aboutResult() {
  const former = [];
  if (view.out && (state.held.waiting || state.held.pictures !== view.out.kpl.label.length)) former.push("pictures");
  if (view.out && view.of !== knowledge() && !state.run) former.push("knowledge");
  $("former").hidden = former.length === 0;
  $("former").shownText = former.length ? `The result below is of the former ${former.join(" and ")}${state.busy ? ". Classifying again ..." : ": press Classify."}` : "";
}

function update() {
  aboutResult();
  const { busy, held: { pictures, waiting } } = state, left = leftOut(), all = pictures + waiting;
  $("classify").disabled = busy || all === 0 || Boolean(state.run);
  $("choose-files").disabled = $("choose-folder").disabled = $("pack").disabled = $("open-knowledge").disabled = Boolean(state.run);
  $("clear").shownText = state.run ? "Close the run" : "Remove my pictures";
  $("encoder").disabled = all > 0 || busy;
  $("clear").hidden = all === 0 && left.length === 0;
  $("clear").disabled = busy;
  $("count").shownText = state.run ? `The run ${state.run} is open, ${pictures} ${view.out?.units ? "units" : "pictures"}.` : counted();
  $("left-out").hidden = left.length === 0;
  $("left-out-title").shownText = left.length < LISTED ? `${left.length} left out` : `${LISTED} or more left out; the last ${LISTED}`;
  $("left-out-list").replaceChildren(...left.slice(-LISTED).map((item) => make("li", {}, `${item.name}: ${item.reason}`)));
}

let beginning = null; // whoever needs a session while one is begun waits for that one
async function ensureSession() {
  if (state.session) return;
  beginning ??= ask("POST", "api/sessions", { json: { encoder: $("encoder").value } }).finally(() => { beginning = null; });
  const made = await beginning;
  state.session = made.id; state.encoder = made.encoder;
}

const refused = () => (state.insist ? "" : unfit());

async function sendKnowledge() {
  const bare = nameWithout();
  if (bare) { $("editor").open = true; throw new Problem(`The class ${bare} has no description: write at least one for each class, under Classes and descriptions.`, 0); }
  if (refused()) { $("insist").focus(); throw new Problem(`${refused()} Choose what fits, or tick the box to classify all the same.`, 0); }
  await ensureSession();
  const now = knowledge();
  if (state.sent === now) return;
  await ask("PUT", path("/knowledge"), { json: JSON.parse(now) });
  state.sent = now;
}

// A finished run in the place of pictures of one's own: to look at, and to correct.
async function openRun() {
  if (state.session) await ask("DELETE", path()).catch(() => {});
  reset();
  const made = await ask("POST", "api/sessions", { json: { run: $("run").value } });
  state.session = made.id; state.run = $("run").value;
  await sync();
  await (state.runs.find((one) => one.name === state.run).several ? openFindings : openResults)();
  update();
  say(`The run ${state.run} is open.`);
  $("results-title").focus();
}

function reset() {
  forgetSession();
  forget(); forgetFindings();
  $("results").hidden = $("scoring").hidden = true; $("empty").hidden = false;
  update();
}

const send = attempt(async (items) => {
  const found = await collect(items);
  if (found.length === 0) { throw new Problem("There was no file in what you gave.", 0); }
  await ensureSession();
  await uploadAll(found);
});

// One at a time: where knowledge changes meanwhile, what runs is stopped and begins anew with the new.
let stopped = false;
async function classify() {
  if (state.busy) { await stopJob(); return; }
  state.busy = true; stopped = false;
  $("job").hidden = false; $("job-text").shownText = "Waiting"; $("job-bar").removeAttribute("value");
  handOver($("classify"), $("job-stop")); update();
  let last;
  try {
    do last = await runJob(); while (!stopped && state.sent !== knowledge());
  } finally {
    state.busy = false; state.job = null; update();
    handOver($("job-stop"), $("classify")); $("job").hidden = true;
  }
  if (last.state === "failed") throw new Problem(last.error, 0);
  if (last.state === "cancelled") { say("Cancelled."); return; }
  const first = $("results").hidden;
  await sync(); // medical files have become units
  await openResults();
  view.of = state.sent;
  update();
  say("Classified."); // said before the focus moves there
  if (first) $("results-title").focus();
  await refreshEvidence();
}

async function runJob() {
  await sendKnowledge();
  await stopMap();
  const job = await ask("POST", path("/jobs"), { json: {}, onBusy: () => say("The server is busy: waiting for a place.") });
  state.job = job.id;
  if (stopped || state.sent !== knowledge()) await stopJob();
  const last = await followJob(job, (now) => {
    const stage = now.stage[0].toUpperCase() + now.stage.slice(1);
    $("job-text").shownText = now.total ? `${stage}: ${now.done} of ${now.total}` : stage;
    if (now.total) { $("job-bar").max = now.total; $("job-bar").value = now.done; } else { $("job-bar").removeAttribute("value"); }
  });
  state.job = null;
  await sync();
  return last;
}

async function stopJob() { if (state.job) await ask("DELETE", `api/jobs/${state.job}`); }

$("encoder").addEventListener("change", attempt(async () => { aboutEncoder(); forgetSession(); state.encoder = $("encoder").value; update(); }));
$("pack").addEventListener("change", attempt(() => choosePack()));
$("open-knowledge").addEventListener("click", () => $("knowledge-file").click());
$("knowledge-file").addEventListener("change", attempt(async () => {
  const [file] = $("knowledge-file").files, form = new FormData();
  if (!file) return;
  form.append("file", file);
  try {
    const base = await ask("POST", "api/knowledge", { form });
    $("pack").value = "";
    await choosePack(base);
    say(`${file.name} is open.`);
  } finally { $("knowledge-file").value = ""; }
}));
$("insist").addEventListener("change", () => { state.insist = $("insist").checked; update(); });
$("modality").addEventListener("change", attempt(async () => {
  state.base.task.modality = $("modality").value.trim() || null;
  await knowledgeChanged();
}));
$("classify").addEventListener("click", attempt(classify));
$("open-run").addEventListener("click", attempt(openRun));
$("job-stop").addEventListener("click", attempt(async () => { stopped = true; await stopJob(); }));
$("clear").addEventListener("click", attempt(async () => {
  if (state.session) await ask("DELETE", path());
  const run = state.run;
  reset(); say(run ? "The run is closed." : "Your pictures are removed from the server."); (run ? $("run") : $("choose-files")).focus();
}));

for (const [button, input] of [["choose-files", "files"], ["choose-folder", "folder"]]) {
  $(button).addEventListener("click", () => $(input).click());
  $(input).addEventListener("change", async () => { await send([...$(input).files]); $(input).value = ""; });
}
const drop = $("drop");
for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => { event.preventDefault(); send(event.dataTransfer); });
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault()); // beside the box: do not leave the page

for (const [button, rest, name] of [["get-csv", "/predictions.csv", "predictions.csv"], ["get-report", "/report.html", "report.html"], ["get-model", "/model.kpl", "model.kpl"]]) {
  $(button).addEventListener("click", attempt(async () => {
    $(button).disabled = true; say(`Preparing ${name}.`);
    try { await save(path(rest), name); say(`${name} is ready.`); } finally { $(button).disabled = false; }
  }));
}

$("get-knowledge").addEventListener("click", attempt(async () => { await sendKnowledge(); await save(path("/knowledge.yaml"), "knowledge.yaml"); say("knowledge.yaml is ready."); }));

// A new page cannot show the token: with one the document is a download.
$("openapi").addEventListener("click", (event) => {
  if (hasToken()) { event.preventDefault(); attempt(() => save("openapi.json", "openapi.json"))(); }
});

// Pictures would go with the page: the browser asks first.
window.addEventListener("beforeunload", (event) => { if (state.held.pictures + state.held.waiting && !state.run) event.preventDefault(); });
// The page is gone for good: nobody could use or remove its session any more.
window.addEventListener("pagehide", (event) => { if (state.session && !event.persisted) leave(path()); });

Object.assign(page, { reset, askForToken, knowledgeChanged, update });
update();
ask("GET", "health").then((health) => { state.largest = health.largest_file; $("version").shownText = `KPL ${health.version}.`; }).catch(() => {});
attempt(begin)();
