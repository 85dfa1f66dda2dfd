// A finished run of several labels a picture: which classes each has, and why.

import { ask, save, show } from "./api.js";
import { $, bar, make, percent, sure, visible } from "./dom.js";
import { forgetScores } from "./scores.js";
import { attempt, path, say } from "./state.js";

const A_LOOK = 48, LOUDEST = 3, NAMED = 4;
let out = null; // what the run says
let names = []; // of its pictures
let shown = A_LOOK;

export function forgetFindings() { out = null; names = []; $("findings").hidden = true; if ($("found").open) $("found").close(); }

export async function openFindings() {
  let list;
  [out, list] = await Promise.all([ask("GET", path("/findings")), ask("GET", path("/pictures"))]);
  names = list.names; shown = A_LOOK;
  forgetScores();
  $("empty").hidden = true; $("findings").hidden = $("scoring").hidden = false;
  $("findings-warnings").replaceChildren(...out.warnings.map((text) => make("li", {}, `Note: ${text}.`)));
  const none = out.present.filter((own) => own.length === 0).length;
  $("findings-summary").shownText = `${names.length} pictures, each class by itself; ${none} have none of them. Such a run is looked at and scored here, and corrected nowhere.`;
  $("findings-rows").replaceChildren(...out.names.map((name, at) => {
    const count = out.present.filter((own) => own.includes(at)).length, share = names.length ? count / names.length : 0;
    return make("tr", {}, make("th", { scope: "row", textContent: name }), make("td", { textContent: String(count) }), make("td", {}, percent(share), bar(share)), make("td", { textContent: percent(out.thresholds[at]) }));
  }));
  $("findings-class").replaceChildren(make("option", { value: "", textContent: "any class" }), ...out.names.map((name, at) => make("option", { value: String(at), textContent: name })));
  draw();
}

// Of a class the likeliest first; else as they are.
function draw() {
  const words = $("findings-find").value.trim().toLowerCase().split(/\s+/).filter(Boolean), chosen = $("findings-class").value;
  const wanted = names.map((_, place) => place).filter((place) => words.every((word) => names[place].toLowerCase().includes(word)));
  if (chosen) wanted.sort((one, other) => out.probabilities[other][chosen] - out.probabilities[one][chosen] || one - other);
  const here = wanted.slice(0, shown);
  $("findings-wall").replaceChildren(...here.map((place) => card(place, chosen)));
  $("findings-shown").shownText = wanted.length ? `${here.length} of ${wanted.length} shown. Choose one for its sentences.` : "No picture to show here.";
  $("findings-more").hidden = here.length === wanted.length;
}

function card(place, chosen) {
  const own = out.present[place].map((at) => out.names[at]), more = own.length > NAMED ? ` and ${own.length - NAMED} more` : "";
  const label = chosen ? `${out.names[chosen]} ${sure(out.probabilities[place][chosen], 0)}${out.present[place].includes(Number(chosen)) ? "" : ", not there"}` : (own.slice(0, NAMED).join(", ") + more || "none of the classes");
  const image = make("img", { alt: "", loading: "lazy", width: 136, height: 136 });
  show(image, path(`/pictures/${place}/thumbnail`)).catch(() => {});
  const button = make("button", { type: "button", className: "card" }, image, make("span", { className: "label" }, label), make("span", { className: "file", title: names[place] }, names[place]));
  button.addEventListener("click", attempt(() => open(place)));
  return make("li", {}, button);
}

async function open(place) {
  const classes = await ask("GET", path(`/pictures/${place}/findings`));
  $("found-title").shownText = names[place]; $("found-picture").alt = visible(names[place]);
  $("found-picture").removeAttribute("src");
  show($("found-picture"), path(`/pictures/${place}/picture`)).catch(() => {});
  $("found-classes").replaceChildren(...classes.map((one) => make("details", {},
    make("summary", {}, make(one.present ? "strong" : "span", {}, one.name), ` ${sure(one.probability)}, ${one.present ? "there" : "not there"} (from ${percent(one.threshold)} on)`),
    make("ol", { className: "sentences" }, ...(one.sentences.length > 2 * LOUDEST ? [...one.sentences.slice(0, LOUDEST), ...one.sentences.slice(-LOUDEST)] : one.sentences).map((said) =>
      make("li", {}, said.text, make("span", { className: "small" }, ` against: ${said.against}; ${sure(said.chance)} by itself, share ${said.share.toFixed(4)} of the margin ${one.margin.toFixed(4)}`)))))));
  if (!$("found").open) $("found").showModal();
  $("found").scrollTop = 0;
}

$("found-close").addEventListener("click", () => $("found").close());
$("found").addEventListener("close", () => { if (!$("alert").hidden) $("main").append($("alert")); });
$("findings-find").addEventListener("input", () => { shown = A_LOOK; draw(); });
$("findings-class").addEventListener("change", () => { shown = A_LOOK; draw(); });
$("findings-more").addEventListener("click", () => { const first = shown; shown += A_LOOK; draw(); $("findings-wall").children[first]?.firstChild.focus(); });
for (const [button, name] of [["findings-csv", "predictions.csv"], ["findings-report", "report.html"]]) {
  $(button).addEventListener("click", attempt(async () => { await save(path(`/${name}`), name); say(`${name} is ready.`); }));
}
