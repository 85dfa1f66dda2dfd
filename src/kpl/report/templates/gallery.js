(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const { page, names, rows } = JSON.parse($("all-data").textContent);
  const percent = (share) => (share >= 0.9995 ? ">\u00a099.9" : share < 0.0005 ? "<\u00a00.1" : (100 * share).toFixed(1)) + "\u00a0%";
  const svg = (tag, attributes) => {
    const node = document.createElementNS(document.querySelector("svg").namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const span = (kind, text) => { const node = document.createElement("span"); node.className = kind; node.textContent = text; return node; };
  const low = rows.map(([id, classes]) => `${id} ${classes.map((c) => names[c]).join(" ")}`.toLowerCase());
  let first = 0, found = [];

  function item(at) {
    const [id, classes, confidence, text, kept, label] = rows[at], said = classes.map((c) => names[c]).join(", ");
    const node = document.createElement("li"), look = document.createElement("details"), summary = document.createElement("summary");
    if (kept) {
      const picture = svg("svg", { class: "picture", viewBox: "0 0 112 112", role: "img", "aria-label": `${id}: ${said}` });
      // in the page already, or here alone
      picture.append(document.getElementById(kept) ? svg("use", { href: `#${kept}` }) : svg("image", { width: 112, height: 112, href: `data:image/webp;base64,${kept}` }));
      summary.append(picture);
    } else summary.append(span("none", "no picture kept"));
    summary.append(span("sure", percent(confidence)), span("said", said));
    if (text >= 0) summary.append(span("said", `text: ${names[text]}`));
    if (label) summary.append(label[0] ? span("right", "\u2713 right") : span("wrong", `\u2717 label: ${label[1].map((c) => names[c]).join(", ") || names.at(-2)}`));
    summary.append(span("said", id));
    const how = document.createElement("p");
    how.className = "small soft"; how.textContent = "Press again to make it small; the arrow keys go on to its neighbours.";
    look.append(summary, how);
    node.append(look);
    return node;
  }

  function draw(focus) {
    $("all-wall").replaceChildren(...found.slice(first, first + page).map(item));
    const last = Math.min(first + page, found.length);
    $("all-said").textContent = found.length ? `${first + 1} to ${last} of ${found.length}.` : "No picture is like that.";
    $("all-before").disabled = first === 0; $("all-after").disabled = last >= found.length;
    if (focus) $("all").focus();
  }

  function search() {
    const words = $("all-find").value.toLowerCase().split(/\s+/).filter(Boolean), c = Number($("all-class").value);
    const [least, most] = $("all-sure").value.split(" ").map(Number), right = $("all-right")?.value ?? "";
    const fits = (label) => right === "" || (right === "none" ? !label : label && String(label[0]) === right);
    found = rows.map((_, at) => at).filter((at) => (c < 0 || rows[at][1].includes(c)) && rows[at][2] >= least && rows[at][2] <= most && fits(rows[at][5]) && words.every((word) => low[at].includes(word)));
    if ($("all-order").value === "sure") found.reverse();
    if ($("all-order").value === "name") found.sort((a, b) => (rows[a][0] < rows[b][0] ? -1 : 1));
    first = 0; draw(false);
  }

  const used = new Set(rows.flatMap(([, classes]) => classes));
  for (const [c, name] of names.entries()) if (used.has(c)) { const option = document.createElement("option"); option.value = c; option.textContent = name; $("all-class").append(option); }
  for (const id of ["all-find", "all-class", "all-sure", "all-order", "all-right"]) $(id)?.addEventListener("input", search);
  $("all-before").addEventListener("click", () => { first -= page; draw(true); });
  $("all-after").addEventListener("click", () => { first += page; draw(true); });

  // From picture to picture while one is large: the arrow keys; Escape makes it small again.
  document.addEventListener("keydown", (event) => {
    const look = event.target.matches(".wall > li > details > summary") ? event.target.parentNode : null;
    if (!look?.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }[event.key];
    const other = step && look.parentNode[step]?.firstElementChild;
    if (!other && event.key !== "Escape") return;
    event.preventDefault();
    look.open = false;
    if (other) { other.open = true; other.firstElementChild.focus(); other.scrollIntoView({ block: "nearest" }); }
  });
  $("all-tools").hidden = $("all-pages").hidden = false;
  search();
})();
