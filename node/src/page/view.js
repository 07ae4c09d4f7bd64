// Draws people and messages. What others wrote goes in by textContent only.

import { avatar } from "./avatar.js";
import { drawFile, fileCard } from "./files.js";
import { clock, say } from "./lang.js";
import { nameOf } from "./names.js";

const SVG = "http://www.w3.org/2000/svg";
const TICKS = {
  pending: ["M8 2a6 6 0 1 0 .01 0", "M8 5v3.5l2.5 1.5"],
  stored: ["M4 8.5l3 3L13 5"],
  delivered: ["M2 8.5l3 3L11 5", "M9 11.5L15.5 5"],
  read: ["M2 8.5l3 3L11 5", "M9 11.5L15.5 5"],
};

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export const line = (text) => element("li", "quiet empty", text);

export function preview(message, name) {
  if (message.deleted) return say("deleted");
  if (message.kind === "text") return message.text;
  if (message.kind === "file") return say("file_named", { file: message.text });
  if (message.kind === "nudge") return say(message.own ? "you_nudged" : "nudged_you", { name });
  return say("update");
}

export function personRow(person, current, choose) {
  const row = element("li");
  const button = element("button", "person");
  button.type = "button";
  button.dataset.user = person.user_id;
  if (current) button.setAttribute("aria-current", "true");
  const face = avatar(person);
  face.append(element("span", `dot ${person.presence}`));
  const name = element("span", "name", nameOf(person));
  const under = element("span", "preview quiet", person.newest ? preview(person.newest, nameOf(person)) : person.department || person.name);
  name.dir = under.dir = "auto";
  const unread = element("span", person.unread ? "unread" : "quiet", person.unread || (person.presence === "offline" ? "" : say(person.route)));
  button.append(face, name, unread, under);
  const told = [person.name, person.department, say(person.presence), say(person.route), person.addr].filter(Boolean);
  button.title = told.join(" · ");
  const spoken = [nameOf(person), say(person.presence), person.unread ? say("unread", { count: person.unread }) : ""];
  button.setAttribute("aria-label", spoken.filter(Boolean).join(", "));
  button.addEventListener("click", () => choose(person.user_id));
  row.append(button);
  return row;
}

// How far an own message is: a clock, one tick, two ticks, two ticks filled.
function mark(state) {
  const made = element("span", `mark ${state}`);
  made.dataset.state = state;
  made.title = say(state);
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", say(state));
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 17 16");
  for (const path of TICKS[state] ?? []) {
    const drawn = document.createElementNS(SVG, "path");
    drawn.setAttribute("d", path);
    drawing.append(drawn);
  }
  made.append(drawing);
  return made;
}

// What a row was drawn from, but for its mark.
const shape = (message, partner, open) =>
  JSON.stringify([message.id, message.text, message.kind, message.deleted, message.sent_at, partner, open !== null]);

// The row of a message: `known` with the newest mark when it still fits, else a new one. `open`, for messages that were
// found, goes to their conversation.
export function messageRow(known, message, partner, open) {
  const drawnFrom = shape(message, partner, open);
  if (known?.dataset.shape === drawnFrom) {
    const old = known.querySelector(".mark");
    if (old && old.dataset.state !== message.state) old.replaceWith(mark(message.state));
    const card = known.querySelector(".file");
    if (card) drawFile(card, message);
    return known;
  }
  const isFile = message.kind === "file" && message.file && !message.deleted;
  const plain = isFile || (message.kind === "text" && !message.deleted);
  const row = element("li", `message${message.own ? " own" : ""}${plain ? "" : " event"}`);
  row.dataset.id = message.id;
  row.dataset.shape = drawnFrom;
  const text = isFile ? fileCard(message) : element("p", "", preview(message, partner));
  if (!isFile) text.dir = "auto";
  const under = element("span", "quiet");
  if (open) {
    const to = element("button", "link", [...new Set([message.author_name, partner])].filter(Boolean).join(" → "));
    to.type = "button";
    to.addEventListener("click", open);
    under.append(to, " ");
  }
  under.append(clock(message.sent_at));
  if (message.own) under.append(" ", mark(message.state));
  row.append(text, under);
  return row;
}
