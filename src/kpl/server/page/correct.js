// Correcting: what a reader says of a picture, by key or by button, and what readers disagree on.

import { ask, save } from "./api.js";
import { $, make } from "./dom.js";
import { attempt, path, say, unlisted, view } from "./state.js";

const KEYED = 9; // classes that have a number of their own
export const NONE = "none of these", UNSURE = "unsure";
let place = -1; // the picture that is looked at
let next = async () => {}; // to the picture after it
let redraw = () => {};

const reader = () => $("reader").value.trim();
export const nameOf = (label) => { const at = view.out.classes.indexOf(label); return at < 0 ? label : view.out.names[at]; };

// The page says how to go on and what to draw anew when something was said.
export function onCorrection(goOn, drawn) { next = goOn; redraw = drawn; }

export function forgetCorrections() { view.own = new Map(); view.walk = null; view.settling = false; $("settle-list").replaceChildren(); $("settle-said").shownText = ""; }

const keep = (corrections) => { view.own = new Map(corrections.map((one) => [one.place, one.label])); };

export async function loadCorrections() {
  if (!reader()) { view.own = new Map(); return; }
  keep((await ask("GET", path(`/corrections?${new URLSearchParams({ by: reader() })}`))).corrections);
}

// Another picture is looked at.
export function offer(wanted) {
  place = wanted;
  const { out, settling } = view;
  $("correct-title").shownText = settling ? "Settle what it shows" : "What does it show?";
  $("correct-classes").replaceChildren(...out.names.slice(0, KEYED).map((name, at) => {
    const button = make("button", { type: "button", "aria-keyshortcuts": String(at + 1) }, make("kbd", {}, String(at + 1)), ` ${name}`);
    button.addEventListener("click", attempt(() => tell(out.classes[at])));
    return button;
  }));
  $("correct-more").hidden = out.names.length <= KEYED;
  $("correct-class").replaceChildren(make("option", { value: "", textContent: "choose" }), ...out.names.slice(KEYED).map((name, at) => make("option", { value: out.classes[KEYED + at], textContent: name })));
  showSaid();
}

function showSaid() {
  const own = view.own.get(place), where = view.walk ? `Picture ${view.walk.indexOf(place) + 1} of ${view.walk.length}. ` : "";
  $("correct-said").shownText = `${where}${own === undefined ? (reader() ? "You have not said anything of it." : "Give your name to correct; it is kept with what you say.") : `You said: ${nameOf(own)}.`}`;
  $("correct-undo").disabled = view.own.size === 0;
}

async function tell(label) {
  if (!reader()) { $("reader").focus(); $("correct-said").shownText = "Give your name first: it is kept with what you say."; return; }
  const of = place;
  keep((await ask("POST", path("/corrections"), { json: { by: reader(), place: of, label, final: view.settling } })).corrections);
  say(`${view.names[of]}: ${nameOf(label)}.`);
  redraw();
  if (of === place) { showSaid(); await next(); }
}

async function undo() {
  const gone = await ask("DELETE", path(`/corrections?${new URLSearchParams({ by: reader() })}`));
  view.own.delete(gone.place);
  say(`Taken back: ${view.names[gone.place]}, ${nameOf(gone.label)}.`);
  redraw(); showSaid();
  return gone.place;
}

// KPL is right: of a picture that it calls none of these too.
const right = () => tell(unlisted(place) ? NONE : view.out.classes[view.out.kpl.label[place]]);

// What a key says; null where it says nothing.
export function byKey(key) {
  if (!$("letters").checked || !view.out) return null;
  const number = Number(key);
  if (number >= 1 && number <= Math.min(KEYED, view.out.classes.length)) return () => tell(view.out.classes[number - 1]);
  const words = { a: right, n: () => tell(NONE), u: () => tell(UNSURE), z: back };
  return words[key.toLowerCase()] || null;
}

let open = async () => {};
export function onOpen(opens) { open = opens; }
async function back() { if (view.own.size) await open(await undo()); }

async function start(why) {
  const by = reader() || "-";
  const { places } = await ask("GET", path(`/queue?${new URLSearchParams({ by, n: 50, why })}`));
  if (places.length === 0) { say("You have read every picture."); $("settle-said").shownText = "You have read every picture."; return; }
  view.walk = places; view.settling = false;
  await open(places[0]);
  (reader() ? $("correct-right") : $("reader")).focus();
}

async function compare() {
  const found = await ask("GET", path("/agreement"));
  const counts = Object.entries(found.readers).map(([name, count]) => `${name}: ${count}`);
  const pairs = found.pairs.map((one) => `${one.one} and ${one.other}: ${one.pictures} read by both, Cohen's kappa ${one.kappa === null ? "not defined" : one.kappa.toFixed(2)}`);
  $("settle-said").shownText = counts.length ? `${[...counts, ...pairs].join("; ")}. ${found.to_settle.length} to settle.` : "Nobody has corrected anything yet.";
  $("settle-list").replaceChildren(...found.to_settle.map((one) => {
    const button = make("button", { type: "button" }, `Settle ${one.name}`);
    button.addEventListener("click", attempt(async () => {
      view.walk = found.to_settle.map((each) => each.place); view.settling = true;
      await open(one.place);
      (reader() ? $("correct-right") : $("reader")).focus();
    }));
    return make("li", {}, button, ` ${Object.entries(one.said).map(([name, label]) => `${name}: ${nameOf(label)}`).join("; ")}`);
  }));
}

$("reader").addEventListener("change", attempt(async () => { await loadCorrections(); redraw(); showSaid(); }));
$("correct-right").addEventListener("click", attempt(right));
$("correct-none").addEventListener("click", attempt(() => tell(NONE)));
$("correct-unsure").addEventListener("click", attempt(() => tell(UNSURE)));
$("correct-undo").addEventListener("click", attempt(back));
$("correct-class").addEventListener("change", attempt(async () => { if ($("correct-class").value) await tell($("correct-class").value); }));
$("correct-start").addEventListener("click", attempt(() => start($("correct-why").value)));
$("settle").addEventListener("toggle", attempt(async () => { if ($("settle").open) await compare(); }));
$("get-corrections").addEventListener("click", attempt(async () => {
  if (!reader()) { say("Correct something first."); $("settle-said").shownText = "Correct something first: the table is of your own corrections."; return; }
  await save(path(`/corrections.csv?${new URLSearchParams({ by: reader() })}`), "corrections.csv");
}));
