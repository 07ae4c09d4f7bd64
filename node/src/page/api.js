// The way to the node: a token for the code in the address, requests, and one stream of events.

const KEY = "lanchat-token";

// The code works once and must not stay in the address or the history.
export async function enter() {
  const code = location.hash.slice(1);
  if (code) {
    history.replaceState(null, "", location.pathname);
    const answer = await fetch("/api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code }),
    });
    if (answer.ok) sessionStorage.setItem(KEY, (await answer.json()).token);
  }
  return sessionStorage.getItem(KEY) !== null;
}

export async function ask(method, path, body) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/api/v1/${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const json = await answer.json();
  if (answer.status === 401) sessionStorage.removeItem(KEY);
  if (!answer.ok) throw new Error(json.error?.message ?? answer.statusText);
  return json;
}

// Calls `on.event` for each event, `on.fresh` when everything has to be loaded anew, `on.lost` when the node is away.
export function listen(on) {
  let since = null;
  let run = null;
  let pause = 500;
  const connect = () => {
    const token = sessionStorage.getItem(KEY);
    if (token === null) return on.closed();
    const socket = new WebSocket(`ws://${location.host}/api/v1/events`);
    socket.onopen = () => socket.send(JSON.stringify(since === null ? { token } : { token, since, run }));
    socket.onmessage = (frame) => {
      const said = JSON.parse(frame.data);
      if (said.type === "ready") {
        pause = 500;
        // What happened before the stream began is not in it.
        if (since === null) on.fresh();
        if (run !== said.run) since = said.id;
        run = said.run;
        on.found();
      } else if (said.type === "resync") {
        since = said.id;
        on.fresh();
      } else if (said.event) {
        since = said.id;
        on.event(said);
      }
    };
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
