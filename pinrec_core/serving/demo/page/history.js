// What the model reads of a user, latest first.
import { byId, counted, element } from "./elements.js";

const TIME = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short", hour: "2-digit",
  minute: "2-digit" });

/** Show a user's engagements; the surface they were on only where it is another than `surface`. */
export function showHistory(engagements, surface) {
  byId("engagements").replaceChildren(...engagements.map((engagement) => engaged(engagement, surface)));
  byId("history-count").textContent = engagements.length
    ? `${counted(engagements.length, "engagement")}, latest first, UTC`
    : "nothing yet: the list is what a new user gets";
}

function engaged({ item_id, title, actions, surface: where, timestamp_ms }, surface) {
  const told = [actions.join(", "), where === surface ? "" : `on ${where}`, TIME.format(timestamp_ms)];
  return element("li", {},
    element("span", { class: "name" }, title ?? item_id,
      title ? element("span", { class: "faint" }, ` ${item_id}`) : null),
    element("span", { class: "faint" }, told.filter(Boolean).join(" · ")));
}
