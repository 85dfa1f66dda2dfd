// The evidence for one picture: its sentences, its neighbours, and where in it.

import { ask, show } from "./api.js";
import { $, bar, make, sure, visible } from "./dom.js";
import { byKey, NONE, offer } from "./correct.js";
import { changeSentence } from "./knowledge.js";
import { askForMap, stopMap } from "./map.js";
import { isRight } from "./scores.js";
import { attempt, path, say, unlisted, view } from "./state.js";

const LOUDEST = 5;
let looking = -1;
let all = false;
let editing = null; // the sentence that is being changed: its field, and what it was

export function closeEvidence() { if ($("evidence").open) $("evidence").close(); }

// What was typed is neither kept nor dropped unasked: say so, and stay.
function unsaved() {
  if (!editing?.field.isConnected || editing.field.disabled || editing.field.value.trim() === editing.before) return false;
  $("evidence-note").shownText = "The sentence is changed: save or cancel that first.";
  editing.field.focus();
  return true;
}

export async function openEvidence(place) {
  if (unsaved()) return;
  const fresh = looking !== place;
  looking = place; all = false;
  const picture = $("evidence-picture");
  picture.alt = visible(view.names[place]);
  if (fresh) { picture.removeAttribute("src"); show(picture, path(`/pictures/${place}/picture`)).catch(() => {}); }
  if (!$("evidence").open) $("evidence").showModal();
  if (fresh) $("evidence").scrollTop = 0;
  await drawEvidence(false);
}

export async function refreshEvidence() { if ($("evidence").open && looking >= 0) await drawEvidence(false); }

async function drawEvidence(refit) {
  if (unsaved()) return;
  const place = looking;
  $("refit").disabled = true;
  $("evidence-note").shownText = refit ? "Learning again without each of the loudest sentences ..." : "";
  const found = await ask("GET", path(`/pictures/${place}/evidence?refit=${refit}`)).finally(() => { $("refit").disabled = false; });
  if (place !== looking || unsaved()) return;
  const { out } = view, order = view.walk ?? view.order;
  offer(place);
  const winner = out.names[found.winner], second = out.names[found.runner_up], text = out.names[found.text_label];
  $("evidence-title").shownText = found.name; $("evidence-title").title = $("evidence-title").textContent;
  $("evidence-said").replaceChildren(...(unlisted(place) ? [make("strong", {}, NONE), ", unlike every listed class; the likeliest of these: "] : []), make("strong", {}, winner), ` ${sure(out.kpl.confidence[place])}, then ${second}`);
  $("evidence-text").shownText = text === winner ? "The text alone says the same." : `The text alone says ${text}.`;
  const right = isRight(place);
  $("evidence-truth").shownText = right === null ? "" : right ? "\u2713 The label says the same." : `\u2717 The label says ${out.names[view.truth[place]]}.`;
  $("evidence-truth").className = right ? "right" : "wrong";
  $("evidence-text").className = text === winner ? "small" : "differs";
  drawSlices(place, found, winner);
  $("evidence-margins").shownText = `Each sentence has an exact share of the text's margin between the two, ${found.text_margin.toFixed(4)}; nearly all of it is common to every picture, so the sentences stand by what their share has beyond the average picture's. KPL's own margin, ${found.proxy_margin.toFixed(2)} in log odds, is no such sum: the two often disagree.`;
  if (found.sentences.some((one) => one.proxy_effect !== null)) $("evidence-note").shownText = "Change of KPL's margin when it learns without the sentence: where it falls, the sentence holds the prediction up.";
  $("evidence-because").shownText = inWords(found, winner, second);
  const most = Math.max(...found.sentences.map((one) => Math.abs(one.text_excess)), 1e-9);
  const sides = [
    [winner, `For ${winner}`, found.nearest_winner, found.sentences.filter((one) => one.text_excess >= 0), false],
    [second, `Against it, for ${second}`, found.nearest_runner_up, found.sentences.filter((one) => one.text_excess < 0).reverse(), true],
  ];
  $("evidence-lists").replaceChildren(...sides.map(([name, title, near, list, other]) => make("section", { "aria-label": title }, make("h3", { textContent: title }),
    neighbours(name, near, other), make("h4", { textContent: list.length === 1 ? "1 sentence" : `${list.length} sentences` }),
    make("ol", { className: "sentences" }, ...(all ? list : list.slice(0, LOUDEST)).map((one) => sentence(one, most, other))),
    list.length > LOUDEST && !all ? more() : null)));
  $("previous").disabled = order.indexOf(place) <= 0;
  $("next").disabled = order.indexOf(place) >= order.length - 1;
  $("where").hidden = out.fixed; // a finished run keeps small pictures only
  if (!out.fixed) await askForMap(place, [found.winner, found.runner_up]);
}

// What speaks loudest, in a sentence, as the report says it.
function inWords({ sentences, winner: at }, winner, second) {
  const because = sentences.filter((one) => one.class_index === at && one.text_excess > 0).slice(0, 2).map((one) => one.text);
  const but = sentences.findLast((one) => one.class_index !== at && one.text_excess < 0)?.text;
  return because.length ? `Like ${winner}: ${because.join("; ")}.${but ? ` More like ${second}: ${but}.` : ""}` : "";
}

// A unit of several pictures: what each says of its class, those to look at, and which of them is looked at large.
const TILES = { slide: "Tile", clip: "Frame" };
let unit = null; // of the evidence that is open: its curve, what is shown of it, and the number that is looked at

function drawSlices(place, found, winner) {
  const { key, curve, shown, read, slide } = found, units = view.out.units, kind = units?.kind[place] ?? "unit";
  const before = unit?.place === place ? unit.at : key; // what is looked at already stays
  unit = curve.length > 1 || slide ? { place, curve, winner, steps: view.out.fixed ? shown : [...curve.keys()], each: TILES[kind] ?? "Slice", slide, shown, at: key } : null;
  $("evidence-slices").hidden = $("evidence-steps").hidden = !unit;
  if (!unit) return;
  $("evidence-curve").toggleAttribute("hidden", Boolean(slide)); $("evidence-slide").toggleAttribute("hidden", !slide);
  const span = `${sure(Math.min(...curve))} to ${sure(Math.max(...curve))}`;
  if (slide) drawSlide(place, slide, `${visible(winner)} over the ${curve.length} tiles of the slide, ${span}, and a frame around the ${shown.length} shown`);
  else {
    $("evidence-curve").querySelector("polyline").setAttribute("points", curve.map((_, at) => onCurve(at).join(",")).join(" "));
    $("evidence-curve").setAttribute("aria-label", `${visible(winner)} over ${curve.length} pictures, ${span}; the key one is number ${key + 1}`);
  }
  const other = units?.by_other[place];
  $("evidence-slices-said").shownText = `A ${kind} of ${curve.length}, decided on by ${units?.pool}. ${slide ? `Over it what each tile says of ${winner} by itself, ${span}, the darker the more; framed and shown are the loudest, number ${key + 1} first.` : `The curve is what each says of ${winner} by itself, ${span}; the key one is number ${key + 1}.`}${other ? ` By ${units.other} it is ${view.out.names[view.out.classes.indexOf(other)]}.` : ""}${read ? ` Read: ${read}.` : ""}`;
  $("evidence-beside").replaceChildren(...shown.map((at) => {
    const image = make("img", { alt: `${unit.each} ${at + 1}`, width: 96, height: 96 }), button = make("button", { type: "button", className: at === key ? "key" : "" }, image);
    button.dataset.at = at;
    button.addEventListener("click", () => lookAt(at));
    show(image, path(`/pictures/${place}/thumbnail?instance=${at}`)).catch(() => { button.hidden = true; });
    return button;
  }));
  lookAt(before, false);
}

const onCurve = (at) => [(300 * at) / Math.max(1, unit.curve.length - 1), 60 * (1 - unit.curve[at])];

function drawSlide(place, { heat, box, tiles }, label) {
  const [whole, over] = $("evidence-slide").querySelectorAll("image");
  show({ set src(url) { whole.setAttribute("href", url); } }, path(`/pictures/${place}/slide`)).catch(() => {});
  over.setAttribute("href", heat);
  for (const [at, name] of ["x", "y", "width", "height"].entries()) over.setAttribute(name, box[at]);
  $("evidence-slide").querySelectorAll("rect").forEach((one) => one.remove());
  $("evidence-slide").append(...tiles.map(([x, y, side]) => {
    const frame = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of Object.entries({ x, y, width: side, height: side })) frame.setAttribute(name, value);
    return frame;
  }));
  $("evidence-slide").setAttribute("aria-label", label);
}

// Look at one instance large; the first time the picture of the unit is that already.
function lookAt(at, fetch = true) {
  unit.at = at;
  if (fetch) show($("evidence-picture"), path(`/pictures/${unit.place}/picture?instance=${at}`)).catch(() => {});
  const said = `${unit.each} ${at + 1} of ${unit.curve.length}`;
  $("evidence-picture").alt = `${visible(view.names[unit.place])}, ${said}`;
  $("evidence-instance").shownText = `${said}: ${sure(unit.curve[at])} ${unit.winner}.`;
  for (const button of $("evidence-beside").children) button.setAttribute("aria-pressed", String(Number(button.dataset.at) === at));
  $("evidence-slide").querySelectorAll("rect").forEach((frame, number) => frame.classList.toggle("at", unit.shown[number] === at));
  const [x, y] = onCurve(at), dot = $("evidence-curve").querySelector("circle");
  dot.setAttribute("cx", x); dot.setAttribute("cy", y);
  const here = unit.steps.indexOf(at);
  $("back").disabled = here <= 0; $("forth").disabled = here >= unit.steps.length - 1;
}

function stepIn(by) {
  const at = unit?.steps[unit.steps.indexOf(unit.at) + by];
  if (at !== undefined) lookAt(at);
  refocus();
}

// What was pressed is gone: give the focus a place, unless it was moved to one meanwhile.
function refocus() { if (document.activeElement === document.body || document.activeElement === $("evidence")) $("evidence-close").focus(); }

// The nearest pictures of a side, each of which opens its own evidence.
function neighbours(name, near, other) {
  if (near.length === 0) return make("p", { className: "small" }, other ? `No picture went to ${name}.` : `No other picture went to ${name}.`);
  return make("div", {}, make("h4", { textContent: other ? `Nearest pictures called ${name}` : `Nearest other pictures called ${name}` }),
    make("ul", { className: "near" }, ...near.map((one) => {
      const image = make("img", { alt: "", width: 96, height: 96 });
      show(image, path(`/pictures/${one.place}/thumbnail`)).catch(() => {});
      const button = make("button", { type: "button", className: "card", title: one.name }, image, make("span", { className: "file" }, one.name),
        make("span", { className: "cosine" }, make("span", { className: "visually-hidden" }, "cosine "), one.cosine.toFixed(3)));
      button.dataset.near = one.place;
      button.addEventListener("click", attempt(async () => { if (unsaved()) return; await openEvidence(one.place); refocus(); }));
      return make("li", {}, button);
    })));
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;

function more() {
  const button = make("button", { type: "button", textContent: "Show all sentences" });
  button.addEventListener("click", attempt(async () => { if (unsaved()) return; all = true; await drawEvidence(false); refocus(); }));
  return button;
}

function sentence(one, most, other) {
  const names = view.out.names;
  const effect = one.proxy_effect === null ? "" : `; KPL's margin ${one.proxy_effect >= 0 ? "falls" : "rises"} by ${Math.abs(one.proxy_effect).toFixed(2)} without it, and the picture is then called ${names[one.winner_without]}`;
  const text = make("span", {}, one.text);
  const edit = make("button", { type: "button", textContent: "Edit", "aria-label": `Edit: ${one.text}` });
  const line = make("div", { className: "text" }, text, view.out.fixed ? null : edit);
  edit.addEventListener("click", () => {
    if (unsaved()) return;
    const field = make("input", { type: "text", value: one.text, maxLength: 1000, "aria-label": "Sentence: Enter saves it, Escape cancels" });
    const keep = make("button", { type: "button", textContent: "Save" }), drop = make("button", { type: "button", textContent: "Cancel" });
    const cancel = () => { editing = null; $("evidence-note").shownText = ""; line.replaceChildren(text, edit); edit.focus(); };
    const save = attempt(async () => {
      const wanted = field.value.trim();
      if (!wanted || wanted === one.text) { cancel(); return; }
      field.disabled = keep.disabled = drop.disabled = true; $("evidence-note").shownText = "Reading the sentence and learning again ...";
      try { await changeSentence(one.class_index, one.index, wanted); say("The sentence is changed."); } finally { field.disabled = keep.disabled = drop.disabled = false; }
      editing = null;
      $("evidence-close").focus();
    });
    editing = { field, before: one.text };
    line.replaceChildren(field, keep, drop); field.focus();
    keep.addEventListener("click", save);
    drop.addEventListener("click", cancel);
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); cancel(); }
      if (event.key === "Enter") save();
    });
  });
  return make("li", {}, line, bar(Math.abs(one.text_excess) / most, other), make("span", { className: "small" }, `of ${names[one.class_index]}`, make("span", { className: "figures" }, `: ${signed(one.text_excess)} beyond average, share ${signed(one.text_share)}`), effect));
}

const place = (by) => { const order = view.walk ?? view.order; return order[order.indexOf(looking) + by]; };
const step = (by) => attempt(async () => { if (place(by) !== undefined) await openEvidence(place(by)); });
// After something was said: the next picture; after the last, back to the wall.
export async function goOn() { if (place(1) === undefined) { $("correct-said").shownText = "That was the last one here."; $("evidence-close").focus(); } else await openEvidence(place(1)); }
$("previous").addEventListener("click", step(-1));
$("next").addEventListener("click", step(1));
$("back").addEventListener("click", () => stepIn(-1));
$("forth").addEventListener("click", () => stepIn(1));
$("enlarge").addEventListener("click", () => { $("enlarge").setAttribute("aria-pressed", String($("evidence-picture").classList.toggle("large"))); });
$("numbers").addEventListener("change", () => $("evidence").classList.toggle("counted", $("numbers").checked));
$("refit").addEventListener("click", attempt(async () => { try { await drawEvidence(true); } catch (error) { $("evidence-note").shownText = error.message; } }));
$("evidence-close").addEventListener("click", () => { if (!unsaved()) closeEvidence(); });
$("evidence").addEventListener("cancel", (event) => { if (unsaved()) event.preventDefault(); });
$("evidence").addEventListener("keydown", (event) => {
  if (["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "checkbox") return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const said = byKey(event.key);
  if (said) { event.preventDefault(); attempt(said)(); return; }
  if (event.key === "ArrowLeft") step(-1)();
  if (event.key === "ArrowRight") step(1)();
  if (event.key === ",") stepIn(-1);
  if (event.key === ".") stepIn(1);
});
$("evidence").addEventListener("close", () => {
  const place = looking;
  looking = -1; editing = unit = null; view.walk = null; view.settling = false; stopMap();
  $("evidence-picture").classList.remove("large"); $("enlarge").setAttribute("aria-pressed", "false");
  if (!$("alert").hidden) $("main").append($("alert"));
  ($("wall").querySelector(`[data-place="${place}"]`) || $("results-title")).focus();
});
