// What the node has to tell beyond messages, as banners.

import { banner } from "./banners.js";
import { clock, say } from "./lang.js";

const CLOSED = "lanchat-closed";
// Announcements shown at a time; the oldest goes first.
const ANNOUNCEMENTS = 3;

let run = "";
let announced = [];

// What was closed is not shown again when the page is loaded again in the same run of the node.
export function ofRun(name) {
  run = name;
}

const closedOnes = () => JSON.parse(sessionStorage.getItem(CLOSED) ?? "[]");

function closable(id) {
  const key = `${run}/${id}`;
  if (closedOnes().includes(key)) return null;
  return { closed: () => sessionStorage.setItem(CLOSED, JSON.stringify([...closedOnes(), key].slice(-100))) };
}

export function forgetAnnouncements() {
  for (const kind of announced) banner(kind, null);
  announced = [];
}

function announce(id, args, options) {
  const kind = `announcement-${id}`;
  banner(kind, say("banner_announcement", args), options);
  announced.push(kind);
  while (announced.length > ANNOUNCEMENTS) banner(announced.shift(), null);
}

export function notice(event) {
  const { notice: kind, id } = event;
  if (kind === "store_failing") return banner("store", say("banner_store_failing", event), { serious: true });
  if (kind === "store_recovered") return banner("store", null);
  const options = closable(id);
  if (!options) return undefined;
  switch (kind) {
    case "announcement":
      return announce(id, { time: clock(event.announced_at), text: event.text }, options);
    case "restored_from_old_copy":
      return banner("restored", say("banner_restored"), options);
    case "clock_wrong":
      return banner("clock", say("banner_clock", { seconds: Math.round(event.by_ms / 1000) }), options);
    case "unendorsed_device":
      return banner(`device-${event.peer_id}`, say("banner_unendorsed", { name: event.name || event.user_id }), options);
    case "not_verified":
      return banner(`verified-${event.user_id}`, say("banner_not_verified", { name: event.name || event.user_id }), options);
    case "revocation_conflict":
      return banner("conflict", say("banner_conflict"), options);
    default:
      // `signed_out` is in the node's status, and shown from there.
      return undefined;
  }
}
