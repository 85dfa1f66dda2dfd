// What all parts of the page know, and how they say that something failed.

import { Problem } from "/static/api.js";
import { $ } from "/static/dom.js";

export const state = { session: null, encoder: "mini", base: null, pictures: 0, leftOut: [], job: null, dirty: false, former: false, encoders: [], packs: [] };

// What came out: the predictions, the names of the pictures, and the places of those on the wall in their order.
export const view = { out: null, names: [], order: [] };

// Set by the page itself: parts call it without knowing it.
export const page = { reset() {}, askForToken() {}, async knowledgeChanged() {}, update() {} };

export const path = (rest = "") => `/api/sessions/${state.session}${rest}`;
export const say = (text) => { $("status").textContent = text; };
export const quiet = () => { $("alert").hidden = true; };

export function fail(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401) { page.askForToken(); return; }
  if (error.status === 404 && error.message.startsWith("No such session")) {
    state.session = null;
    page.reset();
    error = new Problem("The session has ended and its pictures are gone from the server. Add them again to go on.", 404);
  }
  ($("evidence").open ? $("evidence") : $("main")).append($("alert")); // behind an open dialog nobody would see it
  $("alert-text").textContent = error.message;
  $("alert").hidden = false;
  if (!(error instanceof Problem)) console.error(error);
}

export const attempt = (work) => async (...given) => {
  try { quiet(); await work(...given); } catch (error) { fail(error); }
};
