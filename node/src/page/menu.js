// The own menu: how one is seen, the password, the way out of the organisation.

import { ask } from "./api.js";
import { avatar } from "./avatar.js";
import { banner, complain } from "./banners.js";
import { openJoin } from "./join.js";
import { explain, say } from "./lang.js";
import { nameOf } from "./names.js";
import { $, inOpenLan, state } from "./state.js";

export function drawMenu() {
  const open = $("menu").hidden === false;
  $("menu-open").setAttribute("aria-expanded", String(open));
  $("menu-open").setAttribute("aria-label", say("menu", { name: nameOf(state.profile) }));
  $("own-face").replaceChildren(avatar(state.profile));
  $("presence").value = state.profile.presence === "offline" ? "online" : state.profile.presence;
  $("menu-join").hidden = !inOpenLan();
  $("menu-password").hidden = $("menu-logout").hidden = inOpenLan();
  $("menu-fingerprint").textContent = state.me.fingerprint;
}

function toggle(open) {
  $("menu").hidden = !open;
  $("menu-open").setAttribute("aria-expanded", String(open));
  if (open) $("presence").focus();
}

// The password form; `once` is a password that was for one time only.
export function openPassword(once) {
  $("password-about").hidden = once === null;
  $("old-password").value = once ?? "";
  $("new-password").value = "";
  $("own-login").value = state.me.name;
  $("password-error").textContent = "";
  $("password-dialog").showModal();
  $(once === null ? "old-password" : "new-password").focus();
}

async function changePassword(submit) {
  submit.preventDefault();
  try {
    await ask("POST", "account/password", { old: $("old-password").value, new: $("new-password").value });
    $("password-form").reset();
    $("password-dialog").close();
    banner("password", say("password_changed"), { closed: () => {} });
  } catch (error) {
    $("password-error").textContent = error.code === "wrong_password" ? say("old_wrong") : explain(error);
  }
}

export function startMenu(left) {
  $("menu-open").addEventListener("click", () => toggle($("menu").hidden));
  $("menu").addEventListener("keydown", (key) => {
    if (key.key !== "Escape") return;
    key.preventDefault();
    toggle(false);
    $("menu-open").focus();
  });
  $("presence").addEventListener("change", async () => {
    try {
      await ask("PUT", "presence", { presence: $("presence").value });
      state.profile.presence = $("presence").value;
    } catch (error) {
      complain(error);
    }
    drawMenu();
  });
  $("menu-join").addEventListener("click", () => {
    toggle(false);
    openJoin();
  });
  $("menu-password").addEventListener("click", () => {
    toggle(false);
    openPassword(null);
  });
  $("password-form").addEventListener("submit", changePassword);
  $("password-cancel").addEventListener("click", () => {
    $("password-form").reset();
    $("password-dialog").close();
  });
  $("menu-logout").addEventListener("click", () => {
    toggle(false);
    $("logout-text").textContent = say("logout_sure", { org: state.me.org });
    $("logout-dialog").showModal();
    $("logout-cancel").focus();
  });
  $("logout-cancel").addEventListener("click", () => $("logout-dialog").close());
  $("logout-yes").addEventListener("click", async () => {
    $("logout-dialog").close();
    try {
      await ask("POST", "account/logout", {});
      await left();
    } catch (error) {
      complain(error);
    }
  });
}
