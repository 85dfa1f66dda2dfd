// What came out against labels, a table or a folder, which the server reads once and does not keep.

import { ask, Problem, save } from "./api.js";
import { $, make, percent } from "./dom.js";
import { attempt, path, say, unlisted, view } from "./state.js";

const SHOWN = { accuracy: "Accuracy", balanced_accuracy: "Balanced accuracy", auroc: "AUROC", kappa: "Kappa" };
const OF_CLASSES = { auroc: "AUROC", average_precision: "AP", sensitivity: "Sensitivity", specificity: "Specificity", f1: "F1", accuracy: "Accuracy" };
const NAMES = { kpl: "KPL: text and pictures", text: "the text alone" };
const ASKED = { image_column: "image-column", label_column: "label-column", group_column: "group-column", numbers: "label-numbers", ignore_unknown: "unknown-labels", none: "label-none", readers: "label-readers", blank: "label-blank" };

let redraw = () => {}, again = async () => {};
// What to draw anew when labels came, and when confidences changed.
export function onScores(drawn, changed) { redraw = drawn; again = changed; }

export function forgetScores() { $("scores").hidden = true; }
export function forgetLabels() { forgetScores(); view.truth = []; $("calibrated").hidden = true; }

// Whether a picture is right by its label; null where it has none.
export const isRight = (place) => { const truth = view.truth[place] ?? null; return truth === null ? null : truth === view.out.kpl.label[place] && !unlisted(place); };

function told(scores, metric) {
  const value = scores.figures[metric], interval = scores.intervals[metric];
  if (value === null || value === undefined) return "-";
  return value.toFixed(3) + (interval ? ` (${interval[0].toFixed(3)} to ${interval[1].toFixed(3)})` : "");
}

function row(name, scores, shown, ...cells) {
  return make("tr", {}, make("th", { scope: "row", textContent: name }), ...[...cells, ...Object.keys(shown).map((metric) => told(scores, metric))].map((text) => make("td", { textContent: text })));
}

function draw(found) {
  const several = Object.entries(found.classes), shown = several.length ? OF_CLASSES : SHOWN, first = several.length ? ["Class", "Present"] : ["By"];
  $("scores-head").replaceChildren(...[...first, ...Object.values(shown)].map((text) => make("th", { scope: "col", textContent: text })));
  const rows = several.map(([key, one]) => row(key, one, shown, `${one.positives} of ${one.n}`));
  if (several.length) rows.push(row("mean", found.methods["multi-label"], shown, ""), row("Majority", found.majority, shown, ""));
  else rows.push(...Object.entries(found.methods).map(([name, scores]) => row(NAMES[name] ?? name, scores, shown)), row("Majority", found.majority, shown));
  for (const { level, names, labelled, methods, majority } of found.levels) {
    const title = `Level ${level} above the classes (${names.slice(0, 4).join(", ")}${names.length > 4 ? ", ..." : ""}), ${labelled} labelled`;
    rows.push(make("tr", {}, make("th", { scope: "rowgroup", colSpan: 1 + Object.keys(shown).length, textContent: title })));
    rows.push(...Object.entries(methods).map(([name, scores]) => row(NAMES[name] ?? name, scores, shown)), row("Majority", majority, shown));
  }
  $("scores-of").shownText = `${found.labelled} labelled pictures. In brackets 95 % intervals over ${found.unit}.`;
  $("scores-rows").replaceChildren(...rows);
  $("scores-notes").replaceChildren(...found.notices.map((text) => make("li", {}, text)));
  $("scores").hidden = false;
}

// A table; or of a folder the paths of its files below it, and what is a table in it.
function given() {
  const form = new FormData(), [file] = $("label-file").files, inside = [...$("label-folder").files];
  if (!file && !inside.length) throw new Problem("Choose a table of labels, or a folder of class folders, first.", 0);
  if (file) { form.append("file", file); return form; }
  const below = (one) => one.webkitRelativePath.split("/").slice(1).join("/");
  form.append("folder", new Blob([inside.map(below).join("\n")]), "folder");
  for (const one of inside) if (/^metadata\.(csv|jsonl|parquet)$/.test(one.name)) form.append("file", one, below(one));
  return form;
}

// What the labels say, by the server: `what` it is asked for, while nothing else is.
async function send(what, words) {
  const form = given();
  const asked = new URLSearchParams(Object.entries(ASKED).map(([name, id]) => [name, $(id).value.trim()]).filter(([, value]) => value));
  $("score").disabled = $("calibrate").disabled = true; say(words);
  try { return await ask("POST", path(`/${what}?${asked}`), { form }); } finally { $("score").disabled = false; $("calibrate").disabled = fixed(); }
}
// A finished run stays as it is.
const fixed = () => !view.out || view.out.fixed;

$("score").addEventListener("click", attempt(async () => {
  const found = await send("scores", "Scoring.");
  draw(found);
  view.truth = found.truth;
  if (view.out) redraw();
  say("Scored.");
  $("score").focus();
}));

$("calibrate").addEventListener("click", attempt(async () => {
  const { kind, unit, before, after } = await send("calibration", "Calibrating.");
  const change = (name) => `${after[name].toFixed(3)} (before ${before[name].toFixed(3)})`;
  $("calibrated").shownText = kind === "none" ? `The confidences stand as they are: nothing fitted better to labels held out (${unit}).`
    : `The confidences are calibrated. On labels held out (${unit}) their error is ${change("ece")}, the accuracy ${change("accuracy")}.`;
  $("calibrated").hidden = false;
  await again();
  say("Calibrated.");
  $("calibrate").focus();
}));

$("get-calibration").addEventListener("click", attempt(async () => { await save(path("/calibration.json"), "calibration.json"); say("calibration.json is ready."); }));

// How many pictures have no label now, and how the others do by labels.
export function aboutLeast() {
  const { kpl } = view.out, without = view.unlabelled.size, given = kpl.label.length - without;
  const judged = kpl.label.map((_, place) => place).filter((place) => isRight(place) !== null && !view.unlabelled.has(place));
  const right = judged.filter(isRight).length;
  return `${without ? `${without} without a label, ${given} with one.` : "Every picture has a label."}${judged.length ? ` Of the ${judged.length} of these that the table names ${percent(right / judged.length)} are right.` : ""}`;
}
// One source at a time: choosing one takes the other back.
for (const [id, other] of [["label-file", "label-folder"], ["label-folder", "label-file"]]) $(id).addEventListener("change", () => { if ($(id).files.length) $(other).value = ""; });
