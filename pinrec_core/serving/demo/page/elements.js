// Elements without markup in strings: what a catalog calls an item can never become part of the page's code.

/** An element with properties (`class`, `data-...` and `aria-...` as attributes) and children, text or elements. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class" || key === "for" || key === "role" || key.includes("-")) made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Set text only where it differs, so that what has not changed is not said again. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export const counted = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
