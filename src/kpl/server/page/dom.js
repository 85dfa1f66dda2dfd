// Building elements. Text is always text: nothing that a user wrote is ever read as HTML.

// Text of others as it may be shown: control characters, and marks that turn the reading order around, as escapes.
// The same characters as in kpl/visible.py.
const STEERING = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]/g;
export const visible = (text) => String(text).replace(STEERING, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);

// The one way by which text reaches the page.
Object.defineProperty(Node.prototype, "shownText", { set(text) { this.textContent = visible(text); } });
const SHOWN = { textContent: "shownText" };

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    const shown = typeof value === "string" && key !== "value" ? visible(value) : value;
    if (key.includes("-") || key === "for" || key === "scope") node.setAttribute(key, shown);
    else node[SHOWN[key] || key] = shown;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// A button that cannot be pressed for a while hands its focus to another, and the other hands it back.
export function handOver(from, to) { if (document.activeElement === from) to.focus(); }

export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}\u00a0%`;

// A confidence that rounds to certainty is none.
export function sure(share, digits = 1) {
  const most = 100 - 10 ** -digits;
  return Number((100 * share).toFixed(digits)) > most ? `>\u00a0${most.toFixed(digits)}\u00a0%` : percent(share, digits);
}

export function bar(share, other = false) {
  const inner = make("span");
  inner.style.width = `${Math.min(100, 100 * share)}%`;
  return make("span", { className: other ? "bar other" : "bar", "aria-hidden": "true" }, inner);
}
