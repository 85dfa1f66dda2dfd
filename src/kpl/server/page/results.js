// What came out: shares, priors, the wall of pictures, and the evidence for one of them.

import { ask, show } from "/static/api.js";
import { $, bar, make, percent } from "/static/dom.js";
import { changeSentence } from "/static/knowledge.js";
import { attempt, fail, path, say } from "/static/state.js";

const A_LOOK = 48;
const LOUDEST = 5;
let out = null;
let names = [];
let order = [];
let shown = A_LOOK;
let looking = -1;
let all = false;

export function forget() { out = null; names = []; order = []; looking = -1; if ($("evidence").open) $("evidence").close(); }

export async function openResults() {
  const [now, list] = await Promise.all([ask("GET", path("/predictions")), ask("GET", path("/pictures"))]);
  names = list.names;
  $("empty").hidden = true; $("results").hidden = false;
  draw(now, true);
}

// Settings: the newest wins, and one request is under way at a time.
let wanted = null;
let moving = false;
async function move(settings) {
  wanted = { ...(wanted || {}), ...settings };
  if (moving) return;
  moving = true;
  try {
    while (wanted) {
      const next = wanted; wanted = null;
      const started = performance.now();
      draw(await ask("POST", path("/predictions"), { json: { k: next.k ?? out.k, prior: "prior" in next ? next.prior : (out.by_hand ? priors() : null) } }), false);
      $("took").textContent = `${names.length} pictures looked at again in ${Math.round(performance.now() - started)} ms.`;
    }
    await refreshEvidence();
  } catch (error) { fail(error); } finally { moving = false; }
}

const sliders = () => [...document.querySelectorAll("#shares input")];
const priors = () => {
  const values = Object.fromEntries(sliders().map((slider, place) => [out.classes[place], Number(slider.value)]));
  return Object.values(values).some((value) => value > 0) ? values : null;
};

function draw(now, whole) {
  const rebuild = whole || !out || out.classes.join("\n") !== now.classes.join("\n");
  out = now;
  $("warnings").replaceChildren(...out.warnings.map((text) => make("li", {}, `Note: ${text}.`)));
  const n = out.kpl.label.length;
  const differ = out.kpl.label.filter((label, place) => label !== out.text.label[place]).length;
  $("summary").textContent = `${n} ${n === 1 ? "picture" : "pictures"}. KPL and the text proxy disagree on ${differ} (${percent(n ? differ / n : 0)}).`;
  $("k").max = out.most; $("k").value = out.k; $("k").disabled = out.most < 2;
  $("k-value").textContent = `${out.k} of at most ${out.most}`;
  if (rebuild) { drawTable(); drawFilters(); }
  fillTable();
  drawWall();
}

function drawTable() {
  $("shares").replaceChildren(...out.classes.map((key, place) => {
    const slider = make("input", { type: "range", min: 0, max: 100, step: 0.1, "aria-label": `Class prior of ${out.names[place]}, percent` });
    slider.addEventListener("input", () => move({ prior: priors() }));
    return make("tr", {}, make("th", { scope: "row", textContent: out.names[place] }), make("td"), make("td"),
      make("td", {}, make("span", { className: "prior" }, slider, make("output"))));
  }));
}

function fillTable() {
  for (const [place, row] of [...$("shares").rows].entries()) {
    const [, kpl, text, prior] = row.cells;
    kpl.replaceChildren(percent(out.kpl.share[place]), bar(out.kpl.share[place]));
    text.replaceChildren(percent(out.text.share[place]), bar(out.text.share[place], true));
    const slider = prior.querySelector("input");
    if (document.activeElement !== slider || !out.by_hand) slider.value = 100 * out.prior[place];
    prior.querySelector("output").textContent = percent(out.prior[place]);
    slider.setAttribute("aria-valuetext", percent(out.prior[place]));
  }
  $("estimated").disabled = !out.by_hand;
}

function drawFilters() {
  const before = $("only").value;
  $("only").replaceChildren(make("option", { value: "all", textContent: "All pictures" }),
    make("option", { value: "differ", textContent: "Where KPL and text disagree" }),
    ...out.names.map((name, place) => make("option", { value: String(place), textContent: name })));
  $("only").value = [...$("only").options].some((one) => one.value === before) ? before : "all";
}

function drawWall() {
  const by = out[$("by").value], only = $("only").value;
  order = by.label.map((_, place) => place).filter((place) => (only === "all" ? true
    : only === "differ" ? out.kpl.label[place] !== out.text.label[place] : by.label[place] === Number(only)));
  const sign = { sure: -1, unsure: 1, added: 0 }[$("order").value];
  if (sign) order.sort((a, b) => sign * (by.confidence[a] - by.confidence[b]) || a - b);
  const here = order.slice(0, shown);
  const focused = document.activeElement?.dataset?.place;
  const old = new Map([...$("wall").children].map((item) => [Number(item.firstChild.dataset.place), item]));
  $("wall").replaceChildren(...here.map((place) => card(place, old.get(place))));
  if (focused !== undefined && document.activeElement === document.body) $("wall").querySelector(`[data-place="${focused}"]`)?.focus();
  $("shown").textContent = order.length ? `${here.length} of ${order.length} shown. Choose one to see the sentences for and against.` : "No picture to show here.";
  $("more").hidden = here.length === order.length;
}

function card(place, old) {
  const which = $("by").value, other = which === "kpl" ? "text" : "kpl";
  const label = out.names[out[which].label[place]], rival = out.names[out[other].label[place]];
  const item = old || make("li", {}, make("button", { type: "button", className: "card" }, make("img", { alt: "", loading: "lazy", width: 136, height: 136 }),
    make("span", { className: "label" }), make("span", { className: "differs" }), make("span", { className: "file" })));
  const button = item.firstChild;
  if (!old) {
    button.dataset.place = place;
    button.addEventListener("click", attempt(() => openEvidence(place)));
    show(button.children[0], path(`/pictures/${place}/thumbnail`)).catch(() => {});
  }
  button.children[1].textContent = `${label} ${percent(out[which].confidence[place], 0)}`;
  button.children[2].textContent = label === rival ? "" : `${other === "text" ? "Text proxy" : "KPL"}: ${rival}`;
  button.children[3].textContent = names[place];
  return item;
}

for (const id of ["by", "only", "order"]) $(id).addEventListener("change", () => { shown = A_LOOK; drawWall(); });
$("more").addEventListener("click", () => { const first = shown; shown += A_LOOK; drawWall(); $("wall").children[first]?.firstChild.focus(); });
$("k").addEventListener("input", () => { $("k-value").textContent = `${$("k").value} of at most ${out.most}`; move({ k: Number($("k").value) }); });
$("estimated").addEventListener("click", () => { move({ prior: null }); $("k").focus(); });

async function openEvidence(place) {
  looking = place; all = false;
  show($("evidence-picture"), path(`/pictures/${place}/thumbnail`)).catch(() => {});
  if (!$("evidence").open) $("evidence").showModal();
  await drawEvidence(false);
}

export async function refreshEvidence() { if ($("evidence").open && looking >= 0) await drawEvidence(false); }

async function drawEvidence(refit) {
  const place = looking;
  $("refit").disabled = true;
  $("evidence-note").textContent = refit ? "Learning again without each of the loudest sentences ..." : "";
  const found = await ask("GET", path(`/pictures/${place}/evidence?refit=${refit}`)).finally(() => { $("refit").disabled = false; });
  if (place !== looking) return;
  const winner = out.names[found.winner], second = out.names[found.runner_up];
  $("evidence-title").textContent = found.name;
  $("evidence-said").replaceChildren(make("strong", {}, `KPL: ${winner}`), ` (${percent(out.kpl.confidence[place])}), then ${second}. Text proxy: ${out.names[found.text_label]}.`);
  $("evidence-margins").textContent = `Of the text's margin between ${winner} and ${second}, ${found.text_margin.toFixed(4)}, each sentence has an exact share, shown below. The margin of KPL, ${found.proxy_margin.toFixed(2)} in log odds, is no such sum: the two often disagree.`;
  const asked = found.sentences.some((one) => one.proxy_effect !== null);
  $("evidence-note").textContent = asked ? "Change of KPL's margin when it learns without the sentence: above zero, the sentence holds the prediction up." : "";
  const most = Math.max(...found.sentences.map((one) => Math.abs(one.text_share)), 1e-9);
  const sides = [[`For ${winner}`, found.sentences.filter((one) => one.text_share >= 0), false], [`Against it, for ${second}`, found.sentences.filter((one) => one.text_share < 0).reverse(), true]];
  $("evidence-lists").replaceChildren(...sides.map(([title, list, other]) => make("div", {}, make("h3", { textContent: `${title}: ${list.length} sentences` }),
    make("ol", { className: "sentences" }, ...(all ? list : list.slice(0, LOUDEST)).map((one) => sentence(one, most, other))),
    list.length > LOUDEST && !all ? more() : null)));
  $("previous").disabled = order.indexOf(place) <= 0;
  $("next").disabled = order.indexOf(place) >= order.length - 1;
}

function more() {
  const button = make("button", { type: "button", textContent: "Show all sentences" });
  button.addEventListener("click", attempt(async () => { all = true; await drawEvidence(false); $("evidence-close").focus(); }));
  return button;
}

function sentence(one, most, other) {
  const effect = one.proxy_effect === null ? "" : `; KPL's margin ${one.proxy_effect >= 0 ? "falls" : "rises"} by ${Math.abs(one.proxy_effect).toFixed(2)} without it`;
  const text = make("span", {}, one.text);
  const edit = make("button", { type: "button", textContent: "Edit", "aria-label": `Edit: ${one.text}` });
  const line = make("div", { className: "text" }, text, edit);
  edit.addEventListener("click", () => {
    const field = make("input", { type: "text", value: one.text, maxLength: 1000, "aria-label": "Sentence: Enter keeps it, Escape does not" });
    line.replaceChildren(field); field.focus();
    field.addEventListener("keydown", attempt(async (event) => {
      if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); line.replaceChildren(text, edit); edit.focus(); }
      if (event.key === "Enter" && field.value.trim()) {
        field.disabled = true; $("evidence-note").textContent = "Reading the sentence and learning again ...";
        try { await changeSentence(one.class_index, one.index, field.value.trim()); say("The sentence is changed."); } finally { field.disabled = false; }
        $("evidence-close").focus();
      }
    }));
  });
  return make("li", {}, line, bar(Math.abs(one.text_share) / most, other), make("span", { className: "small" }, `text ${one.text_share.toFixed(4)}${effect}`));
}

const step = (by) => attempt(async () => { const next = order[order.indexOf(looking) + by]; if (next !== undefined) await openEvidence(next); });
$("previous").addEventListener("click", step(-1));
$("next").addEventListener("click", step(1));
$("refit").addEventListener("click", attempt(async () => { try { await drawEvidence(true); } catch (error) { $("evidence-note").textContent = error.message; } }));
$("evidence-close").addEventListener("click", () => $("evidence").close());
$("evidence").addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT") return;
  if (event.key === "ArrowLeft") step(-1)();
  if (event.key === "ArrowRight") step(1)();
});
$("evidence").addEventListener("close", () => { const place = looking; looking = -1; $("wall").querySelector(`[data-place="${place}"]`)?.focus(); });
