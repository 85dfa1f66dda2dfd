// What came out: shares, priors, and the wall of pictures.

import { ask, show } from "./api.js";
import { $, bar, make, percent, sure } from "./dom.js";
import { forgetCorrections, loadCorrections, nameOf, NONE, onCorrection, onOpen } from "./correct.js";
import { closeEvidence, goOn, openEvidence, refreshEvidence } from "./evidence.js";
import { aboutLeast, forgetLabels, forgetScores, isRight, onScores } from "./scores.js";
import { attempt, fail, path, unlisted, view } from "./state.js";

const A_LOOK = 48;
const MANY = 15; // classes, above which their table scrolls by itself
let shown = A_LOOK;

export function forget() { round += 1; own = spread = wanted = null; Object.assign(view, { out: null, names: [], order: [], of: "" }); forgetCorrections(); forgetLabels(); $("map-how").replaceChildren(); closeEvidence(); }

export async function openResults() {
  round += 1;
  const [now, list] = await Promise.all([ask("GET", path("/predictions")), ask("GET", path("/pictures"))]);
  view.names = list.names;
  own = spread = wanted = null;
  await loadCorrections();
  forgetLabels();
  $("empty").hidden = true; $("results").hidden = $("scoring").hidden = false;
  draw(now, true);
}

// Settings: the newest wins, and one request is under way at a time. What an answer says of an earlier result is dropped.
let wanted = null;
let moving = false;
let round = 0;
async function move(settings) {
  wanted = { ...(wanted || {}), ...settings };
  if (moving) return;
  moving = true;
  try {
    while (wanted) {
      const next = wanted, asked = round; wanted = null;
      const started = performance.now();
      const now = await ask("POST", path("/predictions"), { json: { k: next.k ?? null, prior: "prior" in next ? next.prior : (view.out.by_hand ? priors(own ?? view.out.prior) : null), least: next.least ?? null, thresholds: next.thresholds ?? null, other: next.other ?? null } });
      if (asked !== round) continue;
      draw(now, false);
      $("took").shownText = `${view.names.length} pictures looked at again in ${Math.round(performance.now() - started)} ms.`;
    }
    await refreshEvidence();
  } catch (error) {
    own = spread = wanted = null; // what was asked for does not hold
    if (view.out) { fillPriors(); drawLeast(); $("other").checked = view.out.unlike !== null; }
    fail(error);
  } finally { moving = false; }
}

const priors = (shares) => Object.fromEntries(view.out.classes.map((key, place) => [key, shares[place]]));

// One class gets the share that its slider says; the others keep their proportions in what is left, through 100 % and back.
let own = null; // the shares as they were last asked for by hand, not rounded: newer than any answer
let spread = null; // the last of them in which some other class than the one at 100 % had a share
function share(place, wanted) {
  const now = own ?? view.out.prior;
  const others = (shares) => shares.reduce((sum, one, at) => (at === place ? sum : sum + one), 0);
  if (others(now) > 0) spread = now;
  const from = spread ?? now, rest = others(from);
  own = from.map((other, at) => (at === place ? wanted : rest > 0 ? other * (1 - wanted) / rest : (1 - wanted) / (from.length - 1)));
  fillPriors();
  return own;
}

function draw(now, whole) {
  forgetScores(); // they were of what was shown before
  const rebuild = whole || !view.out || view.out.classes.join("\n") !== now.classes.join("\n");
  view.out = now; view.unlabelled = new Map(now.unlabelled.filter((one) => !unlisted(one.place)).map((one) => [one.place, one.why]));
  $("warnings").replaceChildren(...view.out.warnings.map((text) => make("li", {}, `Note: ${text}.`)));
  drawContradicted(now);
  const n = view.out.kpl.label.length;
  const differ = view.out.kpl.label.filter((label, place) => label !== view.out.text.label[place]).length;
  $("summary").shownText = `${n} ${view.out.units ? "unit" : "picture"}${n === 1 ? "" : "s"}. KPL and the text alone disagree on ${differ} (${percent(n ? differ / n : 0)}).`;
  const found = [...view.out.kpl.share.map((share, place) => [Math.round(share * n), view.out.names[place]]), [view.out.kpl.label.filter((_, place) => unlisted(place)).length, NONE]].filter(([count]) => count).sort((a, b) => b[0] - a[0]);
  $("counts").shownText = `${found.slice(0, 6).map(([count, name]) => `${count} ${name}`).join(", ")}${found.length > 6 ? `, and ${found.length - 6} more classes` : ""}.`;
  $("other").checked = wanted?.other ?? now.unlike !== null; $("other").disabled = now.fixed;
  $("fixed").hidden = !now.fixed; $("get-model").hidden = now.fixed;
  $("k").max = view.out.most; $("k").disabled = view.out.most < 2 || now.fixed;
  $("k").value = wanted?.k ?? view.out.k; // a newer one that is still to be asked for stays
  $("k-value").shownText = `${$("k").value} of at most ${view.out.most}`;
  $("least").disabled = now.fixed; $("calibrate").disabled = now.fixed;
  if (rebuild) $("least-of").replaceChildren(make("option", { value: "", textContent: "every class" }), ...now.names.map((name, at) => make("option", { value: now.classes[at], textContent: name })));
  drawLeast();
  $("get-calibration").hidden = !now.calibrated || now.fixed;
  if (!now.calibrated) $("calibrated").hidden = true;
  if (rebuild) drawTable();
  drawFilters();
  fillTable();
  drawWall();
}

onOpen(openEvidence);
onCorrection(goOn, () => drawWall());
onScores(() => { drawFilters(); drawWall(); drawLeast(); }, async () => { draw(await ask("GET", path("/predictions")), false); await refreshEvidence(); });

function drawContradicted(now) {
  const name = (key) => now.names[now.classes.indexOf(key)] ?? key, found = now.contradicted;
  $("contradicted").hidden = found.length === 0;
  $("contradicted").querySelector("summary").shownText = `The pictures contradict ${found.length === 1 ? "this sentence" : `these ${found.length} sentences`}`;
  $("contradicted").querySelector("ul").replaceChildren(...found.map((one) => make("li", {}, `${name(one.key)}: \u201c${one.text}\u201d; the pictures give it to ${name(one.instead)}`)));
}

function drawTable() {
  $("shares").closest(".scroll").classList.toggle("many", view.out.classes.length > MANY);
  $("shares").replaceChildren(...view.out.classes.map((key, place) => {
    const slider = make("input", { type: "range", min: 0, max: 100, step: 0.1, disabled: view.out.fixed, "aria-label": `Class prior of ${view.out.names[place]}, percent` });
    slider.addEventListener("input", () => move({ prior: priors(share(place, slider.value / 100)) }));
    return make("tr", {}, make("th", { scope: "row", textContent: view.out.names[place] }), make("td"), make("td"),
      make("td", {}, make("span", { className: "prior" }, slider, make("output"))));
  }));
}

// A confidence for every class, or one of a class's own, which one for every class takes back.
function drawLeast() {
  const of = $("least-of").value, { least, thresholds } = { ...view.out, ...(wanted ?? {}) };
  $("least").value = 100 * (thresholds[of] ?? least);
  $("least-value").shownText = `${Math.round($("least").value)}\u00a0%`;
  const own = Object.entries(thresholds).map(([key, share]) => `${nameOf(key)} ${Math.round(100 * share)}\u00a0%`);
  $("least-said").shownText = `${aboutLeast()}${own.length ? ` Classes of their own: ${own.join(", ")}.` : ""}`;
}

function askLeast() {
  const of = $("least-of").value, share = $("least").value / 100;
  $("least-value").shownText = `${$("least").value}\u00a0%`;
  move(of ? { thresholds: { ...(wanted?.thresholds ?? view.out.thresholds), [of]: share } } : { least: share, thresholds: {} });
}

function fillTable() {
  for (const [place, row] of [...$("shares").rows].entries()) {
    const [, kpl, text] = row.cells;
    kpl.replaceChildren(percent(view.out.kpl.share[place]), bar(view.out.kpl.share[place]));
    text.replaceChildren(percent(view.out.text.share[place]), bar(view.out.text.share[place], true));
  }
  fillPriors();
}

function fillPriors() {
  const now = own ?? view.out.prior;
  for (const [place, row] of [...$("shares").rows].entries()) {
    const slider = row.cells[3].querySelector("input");
    if (own === null || document.activeElement !== slider) slider.value = 100 * now[place]; // not under the hand that moves it
    row.cells[3].querySelector("output").shownText = percent(now[place]);
    slider.setAttribute("aria-valuetext", percent(now[place]));
  }
  $("estimated").disabled = !view.out.by_hand || view.out.fixed;
}

function drawFilters() {
  const before = $("only").value;
  $("only").replaceChildren(make("option", { value: "all", textContent: "All pictures" }),
    make("option", { value: "differ", textContent: "Where KPL and text disagree" }),
    ...(view.truth.length ? [make("option", { value: "wrong", textContent: "Wrong by the labels" }), make("option", { value: "right", textContent: "Right by the labels" })] : []),
    ...(view.unlabelled.size ? [make("option", { value: "bare", textContent: "Without a label" })] : []),
    make("option", { value: "unread", textContent: "Not corrected by me" }), make("option", { value: "read", textContent: "Corrected by me" }),
    make("option", { value: NONE, textContent: "None of these" }),
    ...view.out.names.map((name, place) => make("option", { value: String(place), textContent: name })));
  $("only").value = [...$("only").options].some((one) => one.value === before) ? before : "all";
}

function drawWall() {
  const by = view.out[$("by").value], only = $("only").value;
  const wanted = { all: () => true, differ: (place) => view.out.kpl.label[place] !== view.out.text.label[place],
    bare: (place) => view.unlabelled.has(place), wrong: (place) => isRight(place) === false, right: (place) => isRight(place) === true,
    read: (place) => view.own.has(place), unread: (place) => !view.own.has(place), [NONE]: unlisted }[only] || ((place) => by.label[place] === Number(only) && called(place, $("by").value) !== NONE);
  const words = $("find").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const told = (place) => `${view.names[place]} ${called(place, $("by").value)}`.toLowerCase();
  // the surest first by exact scores, as the server has them: confidences are rounded
  const all = $("order").value === "added" ? by.label.map((_, place) => place) : $("order").value === "sure" ? [...by.order] : [...by.order].reverse();
  view.order = all.filter((place) => wanted(place) && words.every((word) => told(place).includes(word)));
  const here = view.order.slice(0, shown);
  const focused = document.activeElement?.dataset?.place;
  const old = new Map([...$("wall").children].map((item) => [Number(item.firstChild.dataset.place), item]));
  $("wall").replaceChildren(...here.map((place) => card(place, old.get(place))));
  if (focused !== undefined && document.activeElement === document.body) $("wall").querySelector(`[data-place="${focused}"]`)?.focus();
  $("shown").shownText = view.order.length ? `${here.length} of ${view.order.length} shown. Choose one for its evidence.` : "No picture to show here.";
  $("more").hidden = here.length === view.order.length;
}

// What a picture is called: of no listed class it has no class's name, whatever the likeliest is.
const called = (place, which) => (which === "kpl" && unlisted(place) ? NONE : view.out.names[view.out[which].label[place]]);

function card(place, old) {
  const which = $("by").value, other = which === "kpl" ? "text" : "kpl";
  const label = called(place, which), rival = called(place, other);
  const item = old || make("li", {}, make("button", { type: "button", className: "card" }, make("img", { alt: "", loading: "lazy", width: 136, height: 136 }),
    make("span", { className: "label" }), make("span", { className: "truth" }), make("span", { className: "differs" }), make("span", { className: "file" }), make("span", { className: "own" })));
  const button = item.firstChild;
  if (!old) {
    button.dataset.place = place;
    button.addEventListener("click", attempt(() => openEvidence(place)));
    show(button.children[0], path(`/pictures/${place}/thumbnail`)).catch(() => {});
  }
  const bare = which === "kpl" && view.unlabelled.get(place);
  button.children[1].shownText = label === NONE ? NONE : `${bare ? `${bare}; ` : ""}${label} ${sure(view.out[which].confidence[place], 0)}`;
  const right = isRight(place);
  button.children[2].shownText = right === null ? "" : right ? "\u2713 right" : `\u2717 label: ${view.out.names[view.truth[place]]}`;
  button.children[2].className = `truth ${right ? "right" : "wrong"}`;
  button.children[3].shownText = label === rival ? "" : `${other === "text" ? "The text alone" : "KPL"}: ${rival}`;
  button.children[5].shownText = view.own.has(place) ? `You: ${nameOf(view.own.get(place))}` : "";
  const size = view.out.units?.instances[place] ?? 1;
  button.children[4].shownText = view.names[place] + (size > 1 ? ` (${size})` : ""); button.children[4].title = button.children[4].textContent;
  return item;
}

$("find").addEventListener("input", () => { shown = A_LOOK; drawWall(); });
for (const id of ["by", "only", "order"]) $(id).addEventListener("change", () => { shown = A_LOOK; drawWall(); });
$("more").addEventListener("click", () => { const first = shown; shown += A_LOOK; drawWall(); $("wall").children[first]?.firstChild.focus(); });
$("k").addEventListener("input", () => { $("k-value").shownText = `${$("k").value} of at most ${view.out.most}`; move({ k: Number($("k").value) }); });
$("least").addEventListener("input", askLeast); $("least-of").addEventListener("change", drawLeast);
$("other").addEventListener("change", () => { shown = A_LOOK; move({ other: $("other").checked }); });
$("estimated").addEventListener("click", () => { own = spread = null; move({ prior: null }); $("k").focus(); });
