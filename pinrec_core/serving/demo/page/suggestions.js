// What the text fields suggest: users by how their ids begin, items by title or id.
import { counted } from "./elements.js";
import { list } from "./service.js";

const SUGGESTED = 50;

/** Users of a surface's release. */
export async function suggestUsers(surface, prefix, signal) {
  const { users, total } = await list("users", { surface, prefix, limit: SUGGESTED }, signal);
  const options = users.map(({ user_id, engagements }) => ({ value: user_id, label: user_id,
    detail: counted(engagements, "engagement") }));
  const note = total ? `${options.length} of ${counted(total, "user")}${prefix && ` that begin with ${prefix}`}`
    : `No user begins with ${prefix}; Enter asks for a new user of that name.`;
  return { options, note };
}

/** Items that a feed could answer. */
export async function suggestItems(surface, text, signal) {
  if (!text) return { options: [], note: "Type a word of the title, or how the id begins." };
  const { items } = await list("items", { surface, text }, signal);
  const options = items.map(({ item_id, title, item_type }) => ({ value: item_id, label: title ?? item_id,
    detail: `${item_id}, ${item_type}` }));
  return { options, note: options.length ? "" : `No item has ${text} in its title.` };
}

/** Of the first users, the one of whom most is known; somebody new where there are none. */
export async function firstUser(surface) {
  const { users } = await list("users", { surface, limit: SUGGESTED });
  const nobody = { user_id: "nobody", engagements: 0 };
  return users.reduce((best, user) => (user.engagements > best.engagements ? user : best), nobody).user_id;
}
