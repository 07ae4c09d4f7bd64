// Draws people and messages. What others wrote goes in by textContent only.

import { clock, say } from "./lang.js";

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export const nameOf = (user) => user.display_name || user.name || `@${user.user_id.slice(0, 8)}`;

export function preview(message) {
  if (message.deleted) return say("deleted");
  if (message.kind === "text") return message.text;
  return message.kind === "nudge" ? say("nudged") : say("update");
}

export function personRow(person, current, choose) {
  const row = element("li");
  const button = element("button", "person");
  button.type = "button";
  button.setAttribute("aria-current", String(current));
  const dot = element("span", `dot ${person.presence}`);
  dot.title = say(person.presence);
  const name = element("span", "name", nameOf(person));
  const unread = element("span", person.unread ? "unread" : "quiet", person.unread || say(person.route));
  const under = person.newest ? preview(person.newest) : person.department || `${person.name}`;
  button.append(dot, name, unread, element("span", "preview quiet", under));
  button.title = [person.name, person.department, say(person.presence), say(person.route), person.addr]
    .filter(Boolean).join(" · ");
  button.addEventListener("click", () => choose(person.user_id));
  row.append(button);
  return row;
}

export function messageRow(message, withAuthor) {
  const row = element("li", `message${message.own ? " own" : ""}${message.kind === "text" && !message.deleted ? "" : " event"}`);
  row.dataset.id = message.id;
  row.append(element("p", "", preview(message)));
  const parts = [clock(message.sent_at)];
  if (withAuthor) parts.unshift(message.author_name);
  if (message.own) parts.push(say(message.state));
  row.append(element("span", "quiet", parts.join(" · ")));
  return row;
}

export const line = (text) => element("li", "quiet", text);
