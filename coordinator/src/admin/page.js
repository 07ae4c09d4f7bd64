// Shows accounts, who is on, and what is carried between devices. What others wrote is only ever text. The code of the URL is spent at once and
// removed from the address bar; the token lives as long as the tab.
"use strict";

const line = document.getElementById("line");

async function session() {
  const code = location.hash.slice(1);
  history.replaceState(null, "", "/");
  if (code) {
    const headers = { "content-type": "application/json" };
    const answer = await fetch("/api/session", { method: "POST", headers, body: JSON.stringify({ code }) });
    if (answer.ok) sessionStorage.setItem("token", (await answer.json()).token);
  }
  return sessionStorage.getItem("token");
}

async function get(path, token) {
  const answer = await fetch(path, { headers: { authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer.json();
}

function row(user, devices) {
  const state = user.banned ? "banned" : user.online ? (devices[0]?.presence ?? "online") : "offline";
  const addresses = devices.map((device) => device.addrs[0] ?? "").join(", ");
  const row = document.createElement("tr");
  for (const text of [user.name, user.display_name, user.department, state, user.last_seen ?? "never", addresses]) {
    row.appendChild(document.createElement("td")).textContent = text;
  }
  return row;
}

function relayRow(user) {
  const row = document.createElement("tr");
  for (const text of [user.name ?? "gone", user.bytes, user.circuits]) {
    row.appendChild(document.createElement("td")).textContent = text;
  }
  return row;
}

function showRelay(relay, stats) {
  const mdns = `Announced in the local network: ${stats.mdns}${stats.mdns_reason ? ` (${stats.mdns_reason})` : ""}.`;
  const budgets = `at most ${relay.per_user} bytes a second for one user, ${relay.total} in total`;
  const figures = `${relay.circuits} circuits, ${relay.reservations} reservations, ${relay.bytes} bytes, ` +
    `${relay.restarts} restarts; ${budgets}.`;
  document.getElementById("relay-line").textContent = `${relay.relay ? figures : "Off."} ${mdns}`;
  document.getElementById("relay-table").hidden = relay.users.length === 0;
  document.getElementById("relay-users").replaceChildren(...relay.users.map(relayRow));
}

async function show(token) {
  const paths = ["users", "online", "stats", "relay"];
  const [users, online, stats, relay] = await Promise.all(paths.map((name) => get(`/api/${name}`, token)));
  document.getElementById("org").textContent = stats.org;
  line.textContent = `${stats.accounts} accounts, ${stats.online} devices on. Fingerprint ${stats.fingerprint}`;
  const rows = users.map((user) => row(user, online.filter((device) => device.user_id === user.user_id)));
  document.getElementById("users").replaceChildren(...rows);
  showRelay(relay, stats);
}

async function run() {
  const token = await session();
  if (!token) {
    line.textContent = "Open this page by the address that `lanchat-coordinator page` prints.";
    return;
  }
  for (;;) {
    try {
      await show(token);
    } catch (error) {
      line.textContent = error.message;
    }
    await new Promise((wake) => setTimeout(wake, 2000));
  }
}

run();
