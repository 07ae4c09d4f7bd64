// Which language the page speaks: the one of the node's settings, else the browser's.

import { chinese } from "./chinese.js";
import { english } from "./english.js";

let words = english;
let locale = "en";

export function speak(language) {
  const isChinese = (language || navigator.language || "en").toLowerCase().startsWith("zh");
  words = isChinese ? chinese : english;
  locale = isChinese ? "zh-CN" : "en";
  document.documentElement.lang = locale;
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of document.querySelectorAll("[data-hint]")) element.placeholder = say(element.dataset.hint);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
    if (element.tagName === "BUTTON") element.title = say(element.dataset.label);
  }
}

// A line; `{places}` are filled from `args`.
export function say(key, args = {}) {
  const line = words[key] ?? key;
  return line.replace(/\{(\w+)\}/g, (place, name) => String(args[name] ?? place));
}

// An error as one line.
export function explain(error) {
  const key = `error_${error.code}`;
  return error.code && words[key] ? say(key, error.args) : error.message;
}

export const clock = (time) => new Date(time).toLocaleString(locale, { dateStyle: "short", timeStyle: "short" });
