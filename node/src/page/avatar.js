// Pictures of people: the one that they chose, or their initial.

import { picture } from "./api.js";
import { nameOf } from "./names.js";

// Pictures kept; the oldest goes first.
const MOST = 512;
// After this time, a picture that could not be had is asked for again.
const AGAIN_MS = 60000;
// By hash: the address of the picture or null, and when it was asked for.
const known = new Map();

function forgetOldest() {
  const [hash, { url }] = known.entries().next().value;
  if (url) URL.revokeObjectURL(url);
  known.delete(hash);
}

function show(element, url) {
  const image = document.createElement("img");
  image.alt = "";
  // What is no image after all leaves the initial.
  image.addEventListener("error", () => image.remove());
  image.src = url;
  element.append(image);
}

async function fetchInto(element, user) {
  const entry = { url: null, asked: Date.now(), waiting: [element] };
  known.set(user.avatar, entry);
  if (known.size > MOST) forgetOldest();
  const blob = await picture(user.user_id).catch(() => null);
  if (blob) entry.url = URL.createObjectURL(blob);
  for (const waiting of entry.waiting) if (entry.url) show(waiting, entry.url);
  entry.waiting = null;
}

export function avatar(user) {
  const element = document.createElement("span");
  const hue = Number.parseInt(user.user_id.slice(-2), 16) % 6;
  element.className = `avatar hue-${hue}`;
  element.setAttribute("aria-hidden", "true");
  element.textContent = ([...nameOf(user)][0] ?? "?").toUpperCase();
  if (user.avatar) {
    const entry = known.get(user.avatar);
    if (entry?.url) show(element, entry.url);
    else if (entry?.waiting) entry.waiting.push(element);
    else if (!entry || Date.now() - entry.asked > AGAIN_MS) fetchInto(element, user);
  }
  return element;
}
