// Offered files: what they are, how far they are, and what can be done. What others wrote goes in by textContent only.

import { ask } from "./api.js";
import { banner, complain, relieved } from "./banners.js";
import { say } from "./lang.js";

// What the user can do, by direction and state.
const ACTS = {
  in: {
    offered: ["accept", "reject"], waiting: ["pause", "cancel"], running: ["pause", "cancel"],
    paused: ["resume", "cancel"], failed: ["accept", "cancel"], rejected: ["accept"],
  },
  out: {
    offered: ["cancel"], waiting: ["pause", "cancel"], running: ["pause", "cancel"], paused: ["resume", "cancel"],
    failed: ["cancel"],
  },
};
const MOVING = ["waiting", "running", "paused"];
// Failures that are said in another way of a file of one's own.
const OWN = ["changed", "gone"];
const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];
// Offers told at a time by banners; the oldest goes first.
const OFFERS = 3;

// Offers that a banner tells, by id, with who made them.
const told = new Map();

export function sizeText(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  let size = bytes / 1024;
  let unit = 0;
  while (size >= 1024 && unit + 1 < UNITS.length) {
    size /= 1024;
    unit += 1;
  }
  return `${(Math.floor(size * 10) / 10).toFixed(1)} ${UNITS[unit]}`;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function about({ size, transfer }) {
  if (!transfer) return sizeText(size);
  const { state, done, rate, error, error_code: code, path, direction } = transfer;
  const moving = MOVING.includes(state);
  const parts = [
    moving ? say("file_part", { done: sizeText(done), size: sizeText(size) }) : sizeText(size),
    say(`transfer_${state}`),
    state === "running" && rate > 0 ? `${sizeText(rate)}/s` : "",
    code && code !== "other" ? say(`reason_${direction === "out" && OWN.includes(code) ? "own_" : ""}${code}`) : error ?? "",
    state === "complete" && direction === "in" && path ? path : "",
  ];
  return parts.filter(Boolean).join(" · ");
}

function actButton(card, message, act) {
  const button = element("button", act === "accept" ? "main" : "", say(`file_${act}`));
  button.type = "button";
  button.addEventListener("click", async () => {
    for (const other of card.querySelectorAll("button")) other.disabled = true;
    try {
      message.file.transfer = await ask("POST", `transfers/${message.id}/${act}`, {});
      relieved();
    } catch (error) {
      complain(error);
    }
    // What was pressed is to be there again when it did not work.
    delete card.dataset.state;
    drawFile(card, message);
  });
  return button;
}

// Draws how far a file is. Buttons stay as they are as long as the state does, so that none moves under the pointer.
export function drawFile(card, message) {
  const { transfer, size } = message.file;
  const state = transfer?.state ?? "unknown";
  card.querySelector(".about").textContent = about(message.file);
  const bar = card.querySelector("progress");
  bar.hidden = !MOVING.includes(state);
  bar.max = Math.max(size, 1);
  bar.value = transfer?.done ?? 0;
  if (card.dataset.state === state) return;
  card.dataset.state = state;
  const acts = ACTS[transfer?.direction]?.[state] ?? [];
  card.querySelector(".acts").replaceChildren(...acts.map((act) => actButton(card, message, act)));
}

export function fileCard(message) {
  const card = element("div", "file");
  const name = element("strong", "name", message.file.name);
  name.dir = "auto";
  const line = element("span", "about quiet");
  line.dir = "auto";
  // Numbers that move are not read out.
  line.setAttribute("aria-live", "off");
  const bar = element("progress", "");
  bar.setAttribute("aria-label", message.file.name);
  card.append(name, line, bar, element("div", "acts choice"));
  drawFile(card, message);
  return card;
}

function forget(id) {
  told.delete(id);
  banner(`offer-${id}`, null);
}

// Tells of an offer in a conversation that is not being looked at.
export function tellOffer(user, name, { id, file }) {
  if (file?.transfer?.state !== "offered") return;
  told.set(id, user);
  banner(`offer-${id}`, say("banner_offer", { name, file: file.name, size: sizeText(file.size) }), { closed: () => told.delete(id) });
  if (told.size > OFFERS) forget(told.keys().next().value);
}

// The conversation is being looked at.
export function forgetOffers(user) {
  for (const [id, from] of [...told]) if (from === user) forget(id);
}

// A transfer is another now: messages that offer it show that. Returns whether one does.
export function takeTransfer(messages, transfer) {
  if (transfer.state !== "offered") forget(transfer.id);
  const offering = messages.filter((message) => message.id === transfer.id && message.file);
  for (const message of offering) message.file.transfer = transfer;
  return offering.length > 0;
}
