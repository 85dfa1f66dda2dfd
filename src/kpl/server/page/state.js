// What all parts of the page know, and how they say that something failed.

import { ask, Problem } from "./api.js";
import { $ } from "./dom.js";

const NOTHING = { pictures: 0, waiting: 0, left_out: [] };
// base is the knowledge on the page, sent what the server was last told of it; held is what the server says the session
// holds, and unsent are files that never got there.
export const state = { session: null, encoder: "mini", base: null, insist: false, run: "", sent: "", held: NOTHING, unsent: [], busy: false, job: null, largest: Infinity, encoders: [], packs: [], runs: [] };

// What came out: the predictions, the names of the pictures, the places of those on the wall in their order, and the
// knowledge of which it is.
// own is what the reader said of them by place, walk the places gone through when correcting (null for the wall's
// order), truth the classes that labels name by place once there are labels (null for none), unlabelled why a picture has no label by its place, settling whether what is said settles what readers disagree on.
export const view = { out: null, names: [], order: [], of: "", own: new Map(), truth: [], unlabelled: new Map(), walk: null, settling: false };

// Whether a picture is of no listed class; where nobody asked, none is.
export const unlisted = (place) => (view.out.unlike?.[place] ?? 0) >= 1;

// As the server is told of it; `insist` where the encoder was made for other pictures, and the user wants it all the same.
export const knowledge = () => JSON.stringify({ knowledge: state.base, insist: state.insist });

// Set by the page itself: parts call it without knowing it.
export const page = { reset() {}, askForToken() {}, async knowledgeChanged() {}, update() {} };

export const path = (rest = "") => `api/sessions/${state.session}${rest}`;
// The one way in which the page learns what the server holds.
export async function sync() { state.held = state.session ? await ask("GET", path()) : NOTHING; page.update(); }
export function forgetSession() { Object.assign(state, { session: null, run: "", sent: "", held: NOTHING, unsent: [], job: null }); }

export const say = (text) => { $("status").shownText = text; };
export const quiet = () => { $("alert").hidden = true; };

export function fail(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401) { page.askForToken(); return; }
  if (error.status === 404 && error.message.startsWith("No such session")) {
    page.reset();
    error = new Problem("The session has ended and its pictures are gone from the server. Add them again to go on.", 404);
  }
  (document.querySelector("dialog[open]") ?? $("main")).append($("alert")); // behind an open dialog nobody would see it
  $("alert-text").shownText = error.message;
  $("alert").hidden = false;
  if (!(error instanceof Problem)) console.error(error);
}

export const attempt = (work) => async (...given) => {
  try { quiet(); await work(...given); } catch (error) { fail(error); }
};
