// Talking to the service: one place for the token, for errors in plain words, and for trying again when it is busy.

let token = "";
export const setToken = (value) => { token = value; };
export const hasToken = () => token !== "";

export class Problem extends Error {
  constructor(message, status) { super(message); this.status = status; }
}

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

const own = () => (token ? { authorization: `Bearer ${token}` } : {});

// A last word as the page goes: nobody waits for the answer.
export const leave = (path) => { fetch(path, { method: "DELETE", headers: own(), keepalive: true }).catch(() => {}); };

export async function call(method, path, { json, form, signal, tries = 6, onBusy = () => {} } = {}) {
  const headers = own();
  let body = form;
  if (json !== undefined) { headers["content-type"] = "application/json"; body = JSON.stringify(json); }
  for (let attempt = 1; ; attempt += 1) {
    let answer;
    try {
      answer = await fetch(path, { method, headers, body, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("The server does not answer. Is kpl serve still running?", 0);
    }
    if (answer.ok) return answer;
    const wait = Number(answer.headers.get("retry-after"));
    if ((answer.status === 503 || answer.status === 429) && attempt < tries) {
      onBusy(wait);
      await pause(wait || 1);
      continue;
    }
    let said = `The server answered ${answer.status}.`;
    try { said = (await answer.json()).detail || said; } catch { /* not JSON: keep the status */ }
    throw new Problem(said[0].toUpperCase() + said.slice(1), answer.status);
  }
}

export async function ask(method, path, options) {
  const answer = await call(method, path, options);
  return answer.status === 204 ? null : answer.json();
}

// Server-sent events over fetch, because EventSource cannot send a token.
export async function follow(path, told) {
  const answer = await call("GET", path);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    kept += value;
    const events = kept.split("\n\n");
    kept = events.pop();
    for (const event of events) if (event.startsWith("data: ")) told(JSON.parse(event.slice(6)));
  }
}

// Wait for the end of a job; `told` hears how far it is.
export async function followJob(job, told) {
  let last = job;
  await follow(`api/jobs/${job.id}/events`, (now) => { last = now; told(now); }).catch((error) => { if (error instanceof Problem) throw error; });
  while (!["done", "failed", "cancelled"].includes(last.state)) { // the stream broke: ask
    await pause(0.5);
    last = await ask("GET", `api/jobs/${job.id}`);
  }
  return last;
}

export async function save(path, name) {
  const blob = await (await call("GET", path)).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// Pictures need no token in their address: with one they come as blobs.
export const show = async (image, path) => (token ? showFresh(image, path) : void (image.src = path));

// Where the same address gives another picture each time.
export async function showFresh(image, path) {
  const url = URL.createObjectURL(await (await call("GET", path)).blob());
  image.onload = () => URL.revokeObjectURL(url);
  image.src = url;
}
