// The page: one state, drawn anew when it changes.

import { ask, enter, listen } from "./api.js";
import { say } from "./lang.js";
import { line, messageRow, nameOf, personRow } from "./view.js";

const PAGE = 200;
const $ = (id) => document.getElementById(id);
const state = { me: null, people: new Map(), current: null, messages: [], found: null, drafts: new Map() };

function banner(text) {
  $("banner").textContent = text ?? "";
  $("banner").hidden = !text;
}

const complain = (error) => banner(error.message);

function drawPeople() {
  const wanted = $("find").value.trim().toLowerCase();
  const matches = (person) =>
    [person.name, person.display_name, person.department].some((text) => text.toLowerCase().includes(wanted));
  const rank = (person) => [
    person.unread ? 0 : 1,
    person.presence === "offline" ? 1 : 0,
    person.newest ? -Date.parse(person.newest.sent_at) : 0,
  ];
  const before = (a, b) => {
    const [left, right] = [rank(a), rank(b)];
    const at = left.findIndex((value, index) => value !== right[index]);
    return at < 0 ? nameOf(a).localeCompare(nameOf(b)) : left[at] - right[at];
  };
  const rows = [...state.people.values()].filter(matches).sort(before)
    .map((person) => personRow(person, person.user_id === state.current, choose));
  $("people").replaceChildren(...(rows.length ? rows : [line(say("nobody"))]));
  const unread = [...state.people.values()].reduce((sum, person) => sum + person.unread, 0);
  document.title = unread ? `(${unread}) lanchat` : "lanchat";
}

function drawThread() {
  const thread = $("thread");
  const atEnd = thread.scrollHeight - thread.scrollTop - thread.clientHeight < 80;
  const shown = state.found ?? state.messages;
  thread.replaceChildren(...shown.map((message) => messageRow(message, state.found !== null)));
  if (atEnd) thread.scrollTop = thread.scrollHeight;
}

function drawPartner() {
  const person = state.people.get(state.current);
  $("composer").hidden = $("nudge").hidden = !person || state.found !== null;
  if (state.found !== null) {
    $("partner").textContent = say("found");
    $("route").textContent = "";
  } else if (person) {
    $("partner").textContent = nameOf(person);
    const offline = person.presence === "offline";
    $("route").textContent = offline ? say("later") : `${say(person.presence)} · ${say(person.route)}`;
  } else {
    $("partner").textContent = say("choose");
    $("route").textContent = "";
  }
}

function draw() {
  drawPeople();
  drawPartner();
  drawThread();
}

async function markRead() {
  const person = state.people.get(state.current);
  if (!person?.unread || document.hidden || state.found !== null) return;
  person.unread = 0;
  drawPeople();
  await ask("POST", "read", { to: `@${person.user_id}` });
}

async function loadMessages() {
  const wanted = state.current;
  if (!wanted) return;
  const messages = await ask("GET", `history?to=${encodeURIComponent(`@${wanted}`)}&limit=${PAGE}`);
  // Somebody else may have been chosen meanwhile.
  if (state.current !== wanted) return;
  state.messages = messages;
  drawThread();
  $("thread").scrollTop = $("thread").scrollHeight;
  await markRead();
}

async function loadPeople() {
  const [status, users, conversations] = await Promise.all(
    ["status", "users", "conversations"].map((path) => ask("GET", path)));
  state.me = status;
  $("me").textContent = status.name;
  $("link").textContent = status.coordinator.state === "none" ? say("open") : say(status.coordinator.state);
  state.people = new Map(users.map((user) => [user.user_id, { ...user, unread: 0, newest: null }]));
  for (const { with: partner, newest, unread } of conversations) {
    const person = partner && state.people.get(partner.user_id);
    if (person) Object.assign(person, { newest, unread });
  }
  draw();
}

const fresh = () => loadPeople().then(loadMessages).catch(complain);

function choose(user) {
  state.drafts.set(state.current, $("text").value);
  state.current = user;
  state.found = null;
  state.messages = [];
  $("text").value = state.drafts.get(user) ?? "";
  banner();
  draw();
  $("text").focus();
  loadMessages().catch(complain);
}

function onMessage({ message, with: partner }) {
  const person = state.people.get(partner);
  if (!person) return fresh();
  person.newest = message;
  if (!message.own) person.unread += 1;
  if (partner === state.current && !state.messages.some((known) => known.id === message.id)) {
    state.messages.push(message);
    drawThread();
    if (message.kind === "nudge" && !message.own) {
      document.querySelector("main").classList.add("shaken");
    }
  }
  drawPeople();
  return markRead();
}

const onEvent = {
  message: onMessage,
  receipt({ log, received, read }) {
    for (const message of state.messages) {
      if (!message.own || message.log !== log) continue;
      if (read >= message.number) message.state = "read";
      else if (received >= message.number && message.state !== "read") message.state = "delivered";
    }
    drawThread();
  },
  presence({ user_id: user, presence }) {
    const person = state.people.get(user);
    if (!person) return fresh();
    person.presence = presence;
    drawPeople();
    drawPartner();
  },
  async link({ user_id: user }) {
    const [found] = await ask("GET", `users?query=${encodeURIComponent(`@${user}`)}`);
    if (!found) return;
    state.people.set(user, { unread: 0, newest: null, ...state.people.get(user), ...found });
    drawPeople();
    drawPartner();
  },
  profile: loadPeople,
  coordinator: loadPeople,
  notice({ notice, text, reason, name }) {
    if (notice === "announcement") banner(say("announcement") + text);
    else banner([notice, name, reason].filter(Boolean).join(" · "));
  },
};

async function send() {
  const text = $("text").value.trim();
  const to = state.current;
  if (!text || !to) return;
  $("text").value = "";
  try {
    await ask("POST", "messages", { to: `@${to}`, text });
    banner();
  } catch (error) {
    // What was written is not lost with the error.
    if (state.current === to && !$("text").value) $("text").value = text;
    complain(error);
  }
}

async function search() {
  const query = $("find").value.trim();
  state.found = query ? (await ask("GET", `search?query=${encodeURIComponent(query)}`)).reverse() : null;
  drawPartner();
  drawThread();
}

$("find").placeholder = say("find");
$("nudge").textContent = say("nudge");
$("send").textContent = say("send");
$("text").placeholder = say("write");
$("find").addEventListener("input", () => {
  drawPeople();
  if (!$("find").value && state.found !== null) search().catch(complain);
});
$("find").addEventListener("keydown", (key) => {
  if (key.key === "Enter" && !key.isComposing) search().catch(complain);
});
$("text").addEventListener("keydown", (key) => {
  // While an input method is choosing characters, Enter is its own.
  if (key.key !== "Enter" || key.shiftKey || key.isComposing) return;
  key.preventDefault();
  send();
});
$("composer").addEventListener("submit", (submit) => {
  submit.preventDefault();
  send();
});
$("nudge").addEventListener("click", () => ask("POST", "nudges", { to: `@${state.current}` }).catch(complain));
document.querySelector("main").addEventListener("animationend", (end) => end.currentTarget.classList.remove("shaken"));
document.addEventListener("visibilitychange", () => markRead().catch(complain));

drawPartner();
if (await enter()) {
  listen({
    event: (event) => Promise.resolve(onEvent[event.event]?.(event)).catch(complain),
    fresh,
    found: () => banner(),
    lost: () => banner(say("lost")),
    closed: () => banner(say("closed")),
  });
} else {
  banner(say("closed"));
}
