// What the model reads of a user, latest first.
import { byId, counted, element } from "./elements.js";

const TIME = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });

/** Show a user's engagements; the surface they were on only where it is another than `surface`. */
export function showHistory(engagements, surface) {
  byId("engagements").replaceChildren(...engagements.map((engagement) => element("li", {},
    element("span", { class: "name" }, engagement.title ?? engagement.item_id,
      element("span", { class: "faint" }, ` ${engagement.item_id}`)),
    element("span", { class: "faint" }, [engagement.actions.join(", "), engagement.surface === surface ? "" : `on ${engagement.surface}`,
      TIME.format(engagement.timestamp_ms)].filter(Boolean).join(" · ")))));
  byId("history-count").textContent = engagements.length ? `${counted(engagements.length, "engagement")}, latest first, UTC`
    : "nothing yet: the list is what a new user gets";
}
