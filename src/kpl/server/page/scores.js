// What came out against a table of labels, which the server reads once and does not keep.

import { ask, Problem } from "./api.js";
import { $, make } from "./dom.js";
import { attempt, path, say, view } from "./state.js";

const SHOWN = ["accuracy", "balanced_accuracy", "auroc", "kappa"];
const NAMES = { kpl: "KPL: text and pictures", text: "the text alone" };
const ASKED = { image_column: "image-column", label_column: "label-column", group_column: "group-column", numbers: "label-numbers", ignore_unknown: "unknown-labels" };

let redraw = () => {};
export function onScores(drawn) { redraw = drawn; }

export function forgetScores() { $("scores").hidden = true; view.truth = []; }

// Whether a picture is right by its label; null where it has none.
export const isRight = (place) => { const truth = view.truth[place] ?? null; return truth === null ? null : truth === view.out.kpl.label[place]; };

function told(scores, metric) {
  const value = scores.figures[metric], interval = scores.intervals[metric];
  if (value === null || value === undefined) return "-";
  return value.toFixed(3) + (interval ? ` (${interval[0].toFixed(3)} to ${interval[1].toFixed(3)})` : "");
}

function row(name, scores) {
  return make("tr", {}, make("th", { scope: "row", textContent: name }), ...SHOWN.map((metric) => make("td", { textContent: told(scores, metric) })));
}

$("score").addEventListener("click", attempt(async () => {
  const [file] = $("label-file").files;
  if (!file) throw new Problem("Choose a table of labels first.", 0);
  const form = new FormData();
  form.append("file", file);
  const asked = new URLSearchParams(Object.entries(ASKED).map(([name, id]) => [name, $(id).value.trim()]).filter(([, value]) => value));
  $("score").disabled = true; say("Scoring.");
  try {
    const found = await ask("POST", path(`/scores?${asked}`), { form });
    $("scores-of").shownText = `${found.labelled} labelled pictures. In brackets 95 % intervals over ${found.unit}.`;
    $("scores-rows").replaceChildren(...Object.entries(found.methods).map(([name, scores]) => row(NAMES[name] ?? name, scores)), row("Majority", found.majority));
    $("scores-notes").replaceChildren(...found.notices.map((text) => make("li", {}, text)));
    $("scores").hidden = false;
    view.truth = found.truth;
    redraw();
    say("Scored.");
  } finally { $("score").disabled = false; }
}));
