// What the page knows. Other modules change it and draw anew.

export const state = {
  // The node's status and the own profile.
  me: null,
  profile: null,
  // By user id.
  people: new Map(),
  // Who is on the other side of a conversation.
  partners: new Map(),
  // The user id of the chosen person.
  current: null,
  // The current conversation, oldest first, and whether there may be older ones.
  messages: [],
  older: false,
  // The newest receipt for each log since the conversation was chosen: it may come before what it is about.
  receipts: new Map(),
  // What a search found; null when none is shown.
  found: null,
  // Texts on their way to the node, by a name of their own.
  sending: new Map(),
  // What was typed and not sent, by user id.
  drafts: new Map(),
};

export const $ = (id) => document.getElementById(id);

export const refused = () => state.me?.coordinator.refused ?? null;

export const inOpenLan = () => state.me !== null && state.me.coordinator.state === "none";
