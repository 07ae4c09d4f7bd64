// The list of people, and what the node says about itself.

import { ask } from "./api.js";
import { banner } from "./banners.js";
import { explain, say } from "./lang.js";
import { nameOf } from "./names.js";
import { $, inOpenLan, refused, state } from "./state.js";
import { line, personRow } from "./view.js";

const rank = (person) => [
  person.unread ? 0 : 1,
  person.presence === "offline" ? 1 : 0,
  person.newest ? -Date.parse(person.newest.sent_at) : 0,
];

function before(a, b) {
  const [left, right] = [rank(a), rank(b)];
  const at = left.findIndex((value, index) => value !== right[index]);
  return at < 0 ? nameOf(a).localeCompare(nameOf(b)) : left[at] - right[at];
}

export function drawPeople(choose) {
  const wanted = $("find").value.trim().toLowerCase();
  const matches = (person) =>
    [person.name, person.display_name, person.department].some((text) => text.toLowerCase().includes(wanted));
  const rows = [...state.people.values()].filter(matches).sort(before)
    .map((person) => personRow(person, person.user_id === state.current, choose));
  const focused = document.activeElement?.dataset?.user;
  const list = $("people");
  const scrolled = list.scrollTop;
  list.replaceChildren(...(rows.length ? rows : [line(say(wanted ? "nobody_found" : "nobody"))]));
  list.scrollTop = scrolled;
  // Drawing anew must not take the keyboard away from whoever is in the list.
  if (focused) list.querySelector(`[data-user="${focused}"]`)?.focus({ preventScroll: true });
  const unread = [...state.people.values()].reduce((sum, person) => sum + person.unread, 0);
  document.title = unread ? `(${unread}) lanchat` : "lanchat";
}

// The arrows go through the list.
export function moveFocus(key) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[key.key];
  if (!step) return;
  const buttons = [...$("people").querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement);
  const next = at + step;
  key.preventDefault();
  if (next < 0) $("find").focus();
  else buttons[Math.min(next, buttons.length - 1)]?.focus();
}

function drawNode() {
  const { coordinator, name, org } = state.me;
  $("me").textContent = nameOf(state.profile);
  $("me").title = name;
  $("link").textContent = inOpenLan() ? say("open") : `${org} · ${say(coordinator.state)}`;
  const reason = refused();
  banner("coordinator", coordinator.state === "reconnecting" && !reason ? say("banner_reconnecting") : null);
  const why = reason && explain({ code: reason, args: {}, message: reason });
  banner("refused", why && say("banner_refused", { reason: why }), { serious: true });
}

const nobodyYet = { department: "", presence: "offline", route: "none", addr: null, avatar: null, unread: 0, newest: null };

export async function loadPeople() {
  const [status, profile, users, conversations] = await Promise.all(
    ["status", "profile", "users", "conversations"].map((path) => ask("GET", path)));
  state.me = status;
  state.profile = profile;
  state.people = new Map(users.map((user) => [user.user_id, { ...nobodyYet, ...user }]));
  state.partners = new Map();
  for (const { conversation, with: partner, newest, unread } of conversations) {
    if (!partner) continue;
    state.partners.set(conversation, partner.user_id);
    // Whoever left the organisation stays readable.
    const person = state.people.get(partner.user_id) ?? { ...nobodyYet, ...partner, gone: true };
    state.people.set(partner.user_id, Object.assign(person, { newest, unread }));
  }
  drawNode();
}
