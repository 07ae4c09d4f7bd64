// The page: one state, drawn anew when it changes.

import { ask, enter, listen } from "./api.js";
import { banner, complain, relieved } from "./banners.js";
import { send, weigh } from "./composer.js";
import { forgetOffers, takeTransfer, tellOffer } from "./files.js";
import { closeJoin, drawJoin, startJoin } from "./join.js";
import { say, speak } from "./lang.js";
import { drawMenu, openPassword, startMenu } from "./menu.js";
import { forgetAnnouncements, notice, ofRun } from "./notices.js";
import { nameOf } from "./names.js";
import { drawPeople, loadPeople, moveFocus } from "./people.js";
import { $, inOpenLan, state } from "./state.js";
import { addMessage, addReceipt, drawPartner, drawThread, loadMessages, loadOlder, markRead, search } from "./thread.js";

// News of people that come together are loaded together.
const TOGETHER_MS = 250;
let together = null;

const redrawPeople = () => drawPeople(choose);
const redrawThread = () => drawThread(choose);

function draw() {
  redrawPeople();
  drawPartner();
  redrawThread();
  drawJoin();
  if (state.profile) drawMenu();
}

async function reload() {
  const before = state.me;
  await loadPeople();
  if (before && before.user_id !== state.me.user_id) {
    // Another membership: other people, other messages.
    state.found = null;
    state.drafts.clear();
    forgetAnnouncements();
    banner("entered", null);
    banner("password", null);
    leave();
  }
  if (inOpenLan()) forgetAnnouncements();
  if (state.current && !state.people.has(state.current)) leave();
  draw();
}

const fresh = () => reload().then(() => loadMessages(draw)).catch(complain);

function reloadSoon() {
  together ??= setTimeout(() => {
    together = null;
    reload().catch(complain);
  }, TOGETHER_MS);
}

function leave() {
  if (state.current) state.drafts.set(state.current, $("text").value);
  state.current = null;
  state.messages = [];
  state.older = false;
  state.receipts.clear();
  $("text").value = "";
}

function choose(user) {
  leave();
  state.current = user;
  state.found = null;
  forgetOffers(user);
  $("text").value = state.drafts.get(user) ?? "";
  relieved();
  banner("entered", null);
  closeJoin();
  weigh();
  draw();
  $("text").focus();
  loadMessages(draw).catch(complain);
}

function back() {
  const from = state.current;
  leave();
  state.found = null;
  $("find").value = "";
  draw();
  const row = $("people").querySelector(`[data-user="${from}"]`);
  (row ?? $("find")).focus();
}

function shake() {
  const main = document.querySelector("main");
  main.classList.remove("shaken");
  // The animation begins anew only when the class was seen to be gone.
  main.getBoundingClientRect();
  main.classList.add("shaken");
}

function onMessage({ message, with: partner }) {
  const person = state.people.get(partner);
  if (!person) return fresh();
  person.newest = message;
  state.partners.set(message.conversation, partner);
  if (partner === state.current) {
    const isNew = addMessage(message);
    if (isNew && !message.own) person.unread += 1;
    redrawThread();
    if (isNew && message.kind === "nudge" && !message.own) shake();
  } else if (!message.own) {
    person.unread += 1;
    tellOffer(partner, nameOf(person), message);
  }
  redrawPeople();
  return markRead(redrawPeople);
}

const onEvent = {
  message: onMessage,
  receipt(event) {
    addReceipt(event);
    redrawThread();
  },
  transfer({ transfer }) {
    if (transfer && takeTransfer([...state.messages, ...(state.found ?? [])], transfer)) redrawThread();
  },
  presence({ user_id: user, presence }) {
    const person = state.people.get(user);
    if (user === state.me?.user_id) return reloadSoon();
    if (!person) return fresh();
    person.presence = presence;
    redrawPeople();
    return drawPartner();
  },
  link: reloadSoon,
  profile: reloadSoon,
  coordinator: reloadSoon,
  notice(event) {
    notice(event);
    if (event.notice === "signed_out") reloadSoon();
  },
};

$("find").addEventListener("input", () => {
  redrawPeople();
  if (!$("find").value && state.found !== null) search(draw);
});
$("find").addEventListener("keydown", (key) => {
  if (key.key === "Enter" && !key.isComposing) search(draw);
  else if (key.key === "ArrowDown") moveFocus(key);
});
$("people").addEventListener("keydown", moveFocus);
$("text").addEventListener("input", weigh);
$("text").addEventListener("keydown", (key) => {
  // While an input method is choosing characters, Enter is its own.
  if (key.key !== "Enter" || key.shiftKey || key.isComposing) return;
  key.preventDefault();
  send(draw);
});
$("composer").addEventListener("submit", (submit) => {
  submit.preventDefault();
  send(draw);
});
$("nudge").addEventListener("click", () =>
  ask("POST", "nudges", { to: `@${state.current}` }).then(relieved, complain));
$("earlier").addEventListener("click", () => loadOlder(draw).catch(complain));
$("back").addEventListener("click", back);
document.querySelector("main").addEventListener("animationend", (end) => end.currentTarget.classList.remove("shaken"));
document.addEventListener("visibilitychange", () => markRead(redrawPeople).catch(complain));
document.addEventListener("keydown", (key) => {
  if (key.key !== "Escape" || key.isComposing || key.defaultPrevented) return;
  if (key.target.closest("main") && (state.current || state.found)) back();
});

speak("");
drawPartner();
startJoin(async (once) => {
  await reload();
  if (once !== null) openPassword(once);
});
startMenu(reload);

const isOpen = await enter().catch(() => false);
if (isOpen) {
  // A language that was set for the node is meant for its page too.
  await ask("GET", "config/lang").then(({ value }) => speak(value ?? ""), complain);
  drawPartner();
  listen({
    event: (event) => Promise.resolve(onEvent[event.event]?.(event)).catch(complain),
    past(event) {
      // What an organisation announced before this PC left it is not for the open LAN.
      const announced = event.notice === "announcement" && inOpenLan();
      if (event.event === "notice" && !announced) notice(event);
    },
    fresh,
    found(run) {
      ofRun(run);
      banner("closed", null);
    },
    lost: () => banner("closed", say("lost"), { serious: true }),
    closed: () => banner("closed", say("closed"), { serious: true }),
  });
} else {
  banner("closed", say("closed"), { serious: true });
}
