// Into an organisation: a new account or an old one, the question whether it is the right organisation, and logging in
// again after it signed this PC out.

import { ask } from "./api.js";
import { banner } from "./banners.js";
import { explain, say } from "./lang.js";
import { $, inOpenLan, refused, state } from "./state.js";

// Whether somebody who already chats in the open LAN asked for the form.
let wanted = false;
let busy = false;
let waiting = null;
let after = async () => {};
// What the question's answer adds to the request.
let confirmed = {};

// Refusals after which logging in again helps; a version that does not fit is none.
const again = () => refused() !== null && refused() !== "version";

const registering = () => !again() && $("as-new").checked;

function complain(text) {
  $("join-error").textContent = text;
}

function lock() {
  $("enter").disabled = busy || waiting !== null;
  $("enter").textContent = say(busy ? "entering" : registering() ? "enter_register" : "enter_login");
}

export function drawJoin() {
  const shown = again() || (inOpenLan() && (wanted || !state.current) && state.found === null);
  $("join").hidden = !shown;
  if (!shown) return;
  const back = again();
  $("join-title").textContent = say(back ? "enter_login" : "join");
  $("join-about").textContent = back ? say("again_about", { name: state.me.name }) : say("join_about");
  $("join-kind").hidden = $("address-row").hidden = back;
  $("join-cancel").hidden = back || !wanted;
  if (back && !$("user").value) $("user").value = state.me.name;
  $("password").autocomplete = registering() ? "new-password" : "current-password";
  if (!registering()) $("invite-row").hidden = true;
  lock();
}

export function openJoin() {
  wanted = true;
  drawJoin();
  $("address").focus();
}

export function closeJoin() {
  wanted = false;
  drawJoin();
}

// Tells how long is to be waited, and opens the form when it is over.
function wait(seconds) {
  clearInterval(waiting);
  const until = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left > 0) return complain(say("wait", { seconds: left }));
    clearInterval(waiting);
    waiting = null;
    complain("");
    return lock();
  };
  waiting = setInterval(tick, 1000);
  tick();
}

function question(text, print, answer, adds) {
  $("question-text").textContent = text;
  $("question-print").textContent = print;
  $("question-yes").textContent = answer;
  $("question").hidden = false;
  $("question-yes").onclick = () => {
    confirmed = { ...confirmed, ...adds };
    enter();
  };
  $("question-yes").focus();
}

function refusedWith(error) {
  const { code, args } = error;
  if (code === "trust_needed") {
    return question(say("trust_question", args), args.fingerprint, say("trust"), { trust: args.fingerprint });
  }
  if (code === "key_changed" && !confirmed.trust_new_key) {
    return question(say("key_question", args), "", say("trust_new_key"), { trust_new_key: true });
  }
  if (args?.retry_after_s > 0) return wait(args.retry_after_s);
  if (code === "invite_needed") $("invite-row").hidden = false;
  complain(explain(error));
  if (code === "invite_needed") $("invite").focus();
  else if (code === "wrong_password" || code === "bad_new_password") $("password").select();
  return undefined;
}

async function enter() {
  if (busy || waiting !== null) return;
  busy = true;
  complain("");
  $("question").hidden = true;
  lock();
  const wish = { user: $("user").value.trim().toLowerCase(), password: $("password").value, ...confirmed };
  if (!again()) wish.coordinator = $("address").value.trim();
  const isNew = registering();
  if (isNew && $("invite").value.trim()) wish.invite = $("invite").value.trim();
  try {
    const { must_change_password: mustChange } = await ask("POST", isNew ? "account/register" : "account/login", wish);
    const once = mustChange ? wish.password : null;
    wanted = false;
    confirmed = {};
    $("join").reset();
    await after(once);
    banner("entered", say("entered", { org: state.me.org }), { closed: () => {} });
  } catch (error) {
    refusedWith(error);
  } finally {
    busy = false;
    drawJoin();
    lock();
  }
}

// `entered` is called after success, with the password when it was for one time only.
export function startJoin(entered) {
  after = entered;
  $("join").addEventListener("submit", (submit) => {
    submit.preventDefault();
    enter();
  });
  // Another address is another organisation: what was confirmed is not for it.
  $("address").addEventListener("input", () => {
    confirmed = {};
    $("question").hidden = true;
  });
  for (const kind of [$("as-new"), $("as-old")]) kind.addEventListener("change", drawJoin);
  $("join-cancel").addEventListener("click", closeJoin);
  $("question-no").addEventListener("click", () => {
    confirmed = {};
    $("question").hidden = true;
    $("address").focus();
  });
}
