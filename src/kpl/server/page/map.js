// Where in a picture: what a map will cost, the job that draws it, and the map beside the picture.

import { ask, followJob, showFresh } from "./api.js";
import { $, handOver, make, visible } from "./dom.js";
import { attempt, path, say, view } from "./state.js";

let place = -1;
let job = null;
let running = null;
let shown = ""; // what the map in sight is of

const WAYS = {
  patches: [["patches", "the encoder's own patches"]],
  hiding: [["hiding", "hiding one part after the other"]],
  windows: [["windows 0.5", "a window, half as wide"], ["windows 0.25", "a window, a quarter as wide"]],
};
// Nothing is chosen before it is known what the encoder allows.
const settings = () => { const [how, window = "0.5"] = $("map-how").value.split(" "); return how ? { how, window: Number(window) } : {}; };
const seconds = (time) => (time < 1 ? "less than a second" : time < 90 ? `about ${Math.round(time)} s` : `about ${Math.round(time / 60)} min`);

// A picture is looked at: offer the map of its two classes, with its cost.
export async function askForMap(wanted, classes) {
  const of = `${wanted} ${classes.join(" ")} ${classes.map((one) => view.out.classes[one]).join(" ")} ${view.out.k}`;
  if (of !== shown) { stopMap(); $("map").hidden = true; }
  shown = of; place = wanted;
  const before = $("map-class").value;
  $("map-class").replaceChildren(...classes.map((one) => make("option", { value: one, textContent: view.out.names[one] })));
  if (classes.includes(Number(before)) && !$("map").hidden) $("map-class").value = before;
  await cost();
}

async function cost() {
  const wanted = place, chosen = $("map-how").value;
  $("map-note").shownText = "";
  $("map-draw").disabled = true;
  try {
    const found = await ask("GET", path(`/pictures/${wanted}/map?${new URLSearchParams(settings())}`));
    if (wanted !== place || chosen !== $("map-how").value) return;
    const ways = found.choices.flatMap((way) => WAYS[way]);
    if (ways.length !== $("map-how").options.length) $("map-how").replaceChildren(...ways.map(([value, textContent]) => make("option", { value, textContent })));
    $("map-note").shownText = `The encoder reads ${found.views === 1 ? "the picture once" : `${found.views} views of the picture`}: ${seconds(found.seconds)}.`;
    $("map-draw").disabled = job !== null;
  } catch (error) {
    if (error.status !== 413 && error.status !== 422 && error.status !== 503) throw error;
    $("map-note").shownText = error.message;
  }
}

// A session has one job at a time: whoever wants another waits for the end of this one.
export async function stopMap() {
  if (job) await ask("DELETE", `api/jobs/${job}`).catch(() => {}); // then it has ended by itself
  await running;
}

async function draw() {
  const wanted = place, of = shown, name = $("map-class").selectedOptions[0].textContent;
  const started = await ask("POST", path(`/pictures/${wanted}/map`), { json: { class_index: Number($("map-class").value), ...settings() } });
  job = started.id; $("map-job").hidden = false; $("map-bar").removeAttribute("value");
  handOver($("map-draw"), $("map-stop")); $("map-draw").disabled = true;
  let last;
  try {
    last = await followJob(started, (now) => {
      $("map-text").shownText = now.total ? `View ${now.done} of ${now.total}` : "Waiting";
      if (now.total) { $("map-bar").max = now.total; $("map-bar").value = now.done; }
    });
  } finally {
    job = null; $("map-draw").disabled = false;
    handOver($("map-stop"), $("map-draw")); $("map-job").hidden = true;
  }
  if (of !== shown || wanted !== place) return;
  if (last.state !== "done") { $("map-note").shownText = last.state === "cancelled" ? "Cancelled." : last.error; return; }
  $("map-picture").alt = `Map of where the picture shows ${visible(name)}`;
  $("map-caption").shownText = `Bright is what the text of ${name} responds to; the ring is its peak. This is what the text responds to, not what KPL learnt.`;
  await showFresh($("map-picture"), path(`/pictures/${wanted}/map.jpg`));
  $("map").hidden = false;
  $("map").scrollIntoView({ block: "nearest" });
  say(`The map of ${name} is drawn.`);
}

$("map-how").addEventListener("change", attempt(cost));
$("map-draw").addEventListener("click", () => { running = attempt(draw)(); });
$("map-stop").addEventListener("click", stopMap);
