// The classes and their descriptions, edited in place.

import { $, make } from "./dom.js";
import { attempt, page, state } from "./state.js";

const textOf = (description) => (typeof description === "string" ? description : description.text);

export const emptyBase = () => ({
  kpl_knowledge: 2, task: { name: "my classes" },
  classes: [{ key: "first class", descriptions: [] }, { key: "second class", descriptions: [] }],
});

// As kpl.knowledge.fits_modality does it: case, spaces, hyphens and a plural s do not count.
const folded = (kind) => kind.normalize("NFKC").toLowerCase().replace(/[\s_-]+/g, "").replace(/s$/, "");

// What to say of an encoder that was made for other pictures than the knowledge is about; nothing where they fit.
export function misfit(encoder, pack) {
  const kinds = encoder?.modalities || [], kind = state.base?.task.modality;
  if (kinds.length === 0 || !state.base || (kind && kinds.map(folded).includes(folded(kind)))) return "";
  const only = `${encoder.name} was made for ${kinds[0]} pictures only`;
  if (!kind) return `${only}: say what kind of picture yours are, under Classes and descriptions.`;
  return `${only}; ${pack || "this knowledge"} is about ${kind}: what comes out means nothing.`;
}

// The name of a class that has no description yet.
export const nameWithout = () => {
  const bare = state.base.classes.find((entry) => entry.descriptions.length === 0);
  return bare && (bare.name || bare.key);
};

// Sentences that stay keep what is known of them; `absent` sentences go with the descriptions they were paired with.
function setDescriptions(entry, texts) {
  const known = new Map((entry.descriptions || []).map((one) => [textOf(one), one]));
  entry.descriptions = [...new Set(texts.map((text) => text.trim()).filter(Boolean))].map((text) => known.get(text) || { text });
  if (entry.absent && entry.absent.length > 1) delete entry.absent;
}

export function drawEditor() {
  $("classes").replaceChildren(...state.base.classes.map((entry, place) => classFields(entry, place)));
}

function classFields(entry, place) {
  const title = make("summary");
  const write = () => { title.shownText = `${entry.name || entry.key}: ${entry.descriptions.length} descriptions`; };
  const name = make("input", { id: `name-${place}`, type: "text", value: entry.name || entry.key, maxLength: 200 });
  const sentences = make("textarea", { id: `sentences-${place}`, value: entry.descriptions.map(textOf).join("\n"), spellcheck: true });
  name.addEventListener("change", attempt(async () => {
    const wanted = name.value.trim();
    if (!wanted) { name.value = entry.name || entry.key; return; }
    if (!entry.name || entry.name === entry.key) entry.key = wanted;
    entry.name = wanted; write(); await page.knowledgeChanged();
  }));
  sentences.addEventListener("change", attempt(async () => {
    setDescriptions(entry, sentences.value.split("\n")); write(); await page.knowledgeChanged();
  }));
  const remove = make("button", { type: "button", textContent: "Remove this class" });
  remove.addEventListener("click", attempt(async () => {
    state.base.classes.splice(state.base.classes.indexOf(entry), 1);
    drawEditor(); $("add-class").focus(); await page.knowledgeChanged();
  }));
  write();
  return make("details", { className: "class", open: entry.descriptions.length === 0 }, title,
    make("label", { for: name.id, textContent: "Name" }), name,
    make("label", { for: sentences.id, textContent: "Descriptions, one a line" }), sentences,
    make("p", { className: "buttons" }, remove));
}

$("add-class").addEventListener("click", () => {
  let number = state.base.classes.length + 1;
  while (state.base.classes.some((entry) => entry.key === `class ${number}`)) number += 1;
  state.base.classes.push({ key: `class ${number}`, descriptions: [] });
  drawEditor();
  $(`name-${state.base.classes.length - 1}`).focus();
});

export async function changeSentence(classIndex, index, text) {
  const entry = state.base.classes[classIndex];
  const texts = entry.descriptions.map(textOf);
  texts[index] = text;
  setDescriptions(entry, texts);
  drawEditor();
  await page.knowledgeChanged();
}
