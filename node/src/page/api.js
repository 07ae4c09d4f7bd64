// The way to the node: a token for the code in the address, requests, and one stream of events.

const KEY = "lanchat-token";

// A request failed: a stable code, an English line, and what the line is made of.
export class ApiError extends Error {
  constructor(error) {
    super(error.message);
    this.code = error.code;
    this.args = error;
  }
}

const bearer = () => ({ Authorization: `Bearer ${sessionStorage.getItem(KEY)}` });

async function request(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new ApiError({ code: "no_node", message: "lanchat does not answer" });
  }
}

// The code works once and must not stay in the address or the history.
export async function enter() {
  const code = location.hash.slice(1);
  if (code) {
    history.replaceState(null, "", location.pathname);
    const answer = await request("/api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code }),
    });
    if (answer.ok) sessionStorage.setItem(KEY, (await answer.json()).token);
  }
  return sessionStorage.getItem(KEY) !== null;
}

export async function ask(method, path, body) {
  const headers = bearer();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await request(`/api/v1/${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const json = await answer.json().catch(() => ({}));
  if (answer.status === 401) sessionStorage.removeItem(KEY);
  if (!answer.ok) throw new ApiError(json.error ?? { code: "failed", message: answer.statusText, reason: answer.statusText });
  return json;
}

// An image; null when there is none to have now.
export async function picture(user) {
  const answer = await request(`/api/v1/users/${user}/avatar`, { headers: bearer() });
  return answer.ok ? answer.blob() : null;
}

// Calls `on.event` for each event, `on.past` for those before the page was opened, `on.fresh` when everything has to be
// loaded anew, `on.found` and `on.lost` when the node is there and away, `on.closed` when it does not know this page.
export function listen(on) {
  let since = 0;
  let run = null;
  let opened = 0;
  let pause = 500;
  const heard = (said) => {
    if (said.type === "ready") {
      pause = 500;
      if (run !== said.run) {
        opened = said.id;
        on.fresh();
      }
      run = said.run;
      on.found(run);
    } else if (said.type === "resync") {
      since = said.id;
      on.fresh();
    } else if (said.event) {
      since = said.id;
      if (said.id > opened) on.event(said);
      else on.past(said);
    }
  };
  const connect = () => {
    const token = sessionStorage.getItem(KEY);
    if (token === null) return on.closed();
    const socket = new WebSocket(`ws://${location.host}/api/v1/events`);
    socket.onopen = () => socket.send(JSON.stringify(run === null ? { token, since } : { token, since, run }));
    socket.onmessage = (frame) => heard(JSON.parse(frame.data));
    socket.onclose = (why) => {
      // 1008: the token is of another run.
      if (why.code === 1008) {
        sessionStorage.removeItem(KEY);
        return on.closed();
      }
      on.lost();
      setTimeout(connect, pause);
      pause = Math.min(pause * 2, 10000);
    };
  };
  connect();
}
