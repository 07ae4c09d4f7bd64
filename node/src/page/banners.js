// The lines above the conversation, one for each kind of news. What others wrote goes in by textContent only.

import { explain, say } from "./lang.js";
import { $ } from "./state.js";

// Shows a banner, or takes it away when there is no text. `closed` makes it closable and is called then.
export function banner(kind, text, { serious = false, closed = null } = {}) {
  const list = $("banners");
  const known = [...list.children].find((element) => element.dataset.kind === kind);
  if (!text) return known?.remove();
  if (known?.firstElementChild.textContent === text) return undefined;
  known?.remove();
  const made = document.createElement("div");
  made.className = serious ? "banner serious" : "banner";
  made.dataset.kind = kind;
  made.setAttribute("role", serious ? "alert" : "status");
  const line = document.createElement("p");
  line.dir = "auto";
  line.textContent = text;
  made.append(line);
  if (closed) {
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "×";
    close.setAttribute("aria-label", say("close"));
    close.addEventListener("click", () => {
      made.remove();
      closed();
    });
    made.append(close);
  }
  return list.append(made);
}

// What a request brought back; the next one that works takes it away.
export const complain = (error) => banner("error", explain(error), { serious: true, closed: () => {} });

export const relieved = () => banner("error", null);
