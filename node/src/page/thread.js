// The conversation: its messages, who it is with, and what was found in all of them.

import { ask } from "./api.js";
import { complain, relieved } from "./banners.js";
import { say } from "./lang.js";
import { nameOf } from "./names.js";
import { $, state } from "./state.js";
import { line, messageRow } from "./view.js";

// Messages asked for at a time.
const PAGE = 200;
// Messages kept while nobody looks at the older ones.
const KEPT = 1000;
// Pixels from the end at which the thread still follows new messages.
const NEAR_END = 80;

const to = (user) => encodeURIComponent(`@${user}`);

function isAtEnd() {
  const thread = $("thread");
  return thread.scrollHeight - thread.scrollTop - thread.clientHeight < NEAR_END;
}

const scrollToEnd = () => {
  $("thread").scrollTop = $("thread").scrollHeight;
};

// Rows that are there stay, so that a screen reader reads out only what is new.
export function drawThread(choose) {
  const thread = $("thread");
  const atEnd = isAtEnd();
  const known = new Map([...thread.children].map((row) => [row.dataset.id, row]));
  const own = [...state.sending.values()].filter((sent) => sent.to === state.current).map((sent) => sent.message);
  const shown = state.found ?? [...state.messages, ...own];
  const partner = (message) => {
    const user = state.found ? state.partners.get(message.conversation) : state.current;
    const person = state.people.get(user);
    return { user, name: person ? nameOf(person) : message.author_name };
  };
  const rows = shown.map((message) => {
    const { user, name } = partner(message);
    const open = state.found && user ? () => choose(user) : null;
    return messageRow(known.get(message.id), message, name, open);
  });
  if (!rows.length && (state.found || state.current)) rows.push(line(say(state.found ? "nothing_found" : "nothing_yet")));
  const stay = new Set(rows);
  for (const row of [...thread.children]) if (!stay.has(row)) row.remove();
  rows.forEach((row, index) => {
    if (thread.children[index] !== row) thread.insertBefore(row, thread.children[index] ?? null);
  });
  $("earlier").hidden = !state.older || state.found !== null || !state.current;
  if (atEnd) scrollToEnd();
}

export function drawPartner() {
  const person = state.people.get(state.current);
  const searching = state.found !== null;
  const here = Boolean(person) && !searching;
  $("composer").hidden = $("nudge").hidden = !here || Boolean(person.gone);
  document.body.classList.toggle("chatting", here || searching);
  const offline = person?.presence === "offline";
  $("partner").textContent = searching ? say("found") : here ? nameOf(person) : say("choose");
  $("route").textContent = !here ? "" : offline ? say("later") : `${say(person.presence)} · ${say(person.route)}`;
}

export async function markRead(redraw) {
  const person = state.people.get(state.current);
  if (!person?.unread || document.hidden || state.found !== null) return;
  person.unread = 0;
  redraw();
  await ask("POST", "read", { to: `@${person.user_id}` });
}

export async function loadMessages(redraw) {
  const wanted = state.current;
  if (!wanted) return;
  const messages = await ask("GET", `history?to=${to(wanted)}&limit=${PAGE}`);
  // Somebody else may have been chosen meanwhile.
  if (state.current !== wanted) return;
  // What came while the node was reading is not in its answer.
  const meanwhile = state.messages;
  state.messages = messages;
  state.older = messages.length === PAGE;
  const last = messages.at(-1)?.sent_at ?? "";
  for (const message of meanwhile) if (message.sent_at >= last) addMessage(message);
  messages.forEach(applyReceipt);
  redraw();
  scrollToEnd();
  await markRead(redraw);
}

export async function loadOlder(redraw) {
  const [wanted, first] = [state.current, state.messages[0]];
  if (!wanted || !first) return;
  const messages = await ask("GET", `history?to=${to(wanted)}&limit=${PAGE}&before=${first.id}`);
  if (state.current !== wanted || state.messages[0] !== first) return;
  const thread = $("thread");
  const below = thread.scrollHeight - thread.scrollTop;
  state.messages = [...messages, ...state.messages];
  state.older = messages.length === PAGE;
  redraw();
  thread.scrollTop = thread.scrollHeight - below;
}

function applyReceipt(message) {
  const known = message.own && state.receipts.get(message.log);
  if (!known) return;
  if (known.read >= message.number) message.state = "read";
  else if (known.received >= message.number && message.state !== "read") message.state = "delivered";
}

// A message of the current conversation came, or one's own came back from the disk.
export function addMessage(message) {
  applyReceipt(message);
  const at = state.messages.findIndex((known) => known.id === message.id);
  if (at >= 0) {
    // What was known from the answer only has no place in a log yet.
    if (!state.messages[at].log) state.messages[at] = message;
    return false;
  }
  const later = state.messages.findLastIndex((known) => known.sent_at <= message.sent_at);
  state.messages.splice(later + 1, 0, message);
  if (state.messages.length > 2 * KEPT && isAtEnd()) {
    state.messages = state.messages.slice(-KEPT);
    state.older = true;
  }
  return true;
}

export function addReceipt({ log, user_id: user, received, read }) {
  if (user === state.me?.user_id) return;
  const known = state.receipts.get(log) ?? { received: 0, read: 0 };
  state.receipts.set(log, { received: Math.max(known.received, received), read: Math.max(known.read, read) });
  state.messages.forEach(applyReceipt);
}

export async function search(redraw) {
  const query = $("find").value.trim();
  try {
    state.found = query ? (await ask("GET", `search?query=${encodeURIComponent(query)}`)).reverse() : null;
    relieved();
  } catch (error) {
    complain(error);
  }
  redraw();
}
