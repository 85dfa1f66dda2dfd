// Building elements. Text is always text: nothing that a user wrote is ever read as HTML.

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "for" || key === "scope") node.setAttribute(key === "for" ? "for" : key, value);
    else node[key] = value;
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
