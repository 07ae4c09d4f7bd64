// What is typed, and its way to the node.

import { ask } from "./api.js";
import { complain, relieved } from "./banners.js";
import { say } from "./lang.js";
import { $, state } from "./state.js";
import { addMessage } from "./thread.js";

// Bytes of a text, as the node counts them.
const MOST = 65536;

let count = 0;

const bytes = (text) => new TextEncoder().encode(text).length;

// Tells before sending that a text is too long, and grows with its lines.
export function weigh() {
  const box = $("text");
  const len = bytes(box.value.trim());
  const over = len > MOST;
  $("limit").hidden = !over;
  $("limit").textContent = over ? say("too_long", { len, max: MOST }) : "";
  $("send").disabled = over;
  box.setAttribute("aria-invalid", String(over));
  box.rows = Math.min(8, Math.max(2, box.value.split("\n").length));
  return !over;
}

export async function send(redraw) {
  const text = $("text").value.trim();
  const to = state.current;
  if (!text || !to || !weigh()) return;
  count += 1;
  const name = `sending-${count}`;
  const message = {
    id: name, author: state.me.user_id, author_name: state.me.name, kind: "text", text, own: true, deleted: false,
    sent_at: new Date().toISOString(), state: "pending", log: null, number: 0,
  };
  state.sending.set(name, { to, message });
  $("text").value = "";
  state.drafts.delete(to);
  weigh();
  redraw();
  $("thread").scrollTop = $("thread").scrollHeight;
  try {
    const sent = await ask("POST", "messages", { to: `@${to}`, text });
    relieved();
    if (state.current === to) addMessage({ ...message, id: sent.id, sent_at: sent.sent_at, state: "stored" });
  } catch (error) {
    // What was written is not lost with the error.
    if (state.current !== to) state.drafts.set(to, state.drafts.get(to) || text);
    else if (!$("text").value) $("text").value = text;
    weigh();
    complain(error);
  } finally {
    state.sending.delete(name);
    redraw();
  }
}
