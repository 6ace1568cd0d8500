// Retrieved items and the vectors that found them. Items that stay keep their element and move to their new place.
import { byId, counted, element, say } from "./elements.js";
import { swatch } from "./outcomes.js";

const MOVE_MS = 220, APPEAR_MS = 160;
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]; // seconds of each
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** When a vector looks ahead to, by its time-offset bucket. */
export function ahead(offset, offsets_s) {
  if (!offset) return "now";
  const seconds = offsets_s[offset - 1];
  const [size, unit] = UNITS.find(([least]) => seconds >= least) ?? UNITS.at(-1);
  return `+${Number((seconds / size).toFixed(1))} ${unit}`;
}

/** The list; `useAsContext(item)` is called by the items' buttons where a surface has context. */
export class Found {
  constructor(useAsContext) {
    this.useAsContext = useAsContext;
    this.list = byId("found");
    this.nodes = new Map(); // item id -> its parts
    this.chosen = ""; // the vector whose items are shown up, "" = all alike
  }

  /** Show items of an answer. `configured`: rank of each item in the list as configured, null = do not compare. */
  show(answer, surface, colours, configured) {
    const held = document.activeElement;
    if (answer.release_id !== this.release) this.forget(answer.release_id);
    const before = still.matches ? null : this.tops();
    const wanted = new Set(answer.items.map(({ item_id }) => item_id));
    for (const [id, { row }] of this.nodes) {
      if (!wanted.has(id)) {
        row.remove();
        this.nodes.delete(id);
      }
    }
    answer.items.forEach((item, place) => this.put(item, place, { surface, colours, configured }));
    this.showVectors(answer.items, surface, colours);
    if (held !== document.activeElement && held.isConnected) held.focus({ preventScroll: true });
    if (before) this.move(before);
  }

  /** What another release calls its items need not be what this one does. */
  forget(release) {
    this.release = release;
    this.list.replaceChildren();
    this.nodes.clear();
  }

  /** One item at its place, as a new element only if it was not there. */
  put(item, place, { surface, colours, configured }) {
    if (!this.nodes.has(item.item_id)) this.nodes.set(item.item_id, this.made(item));
    const { row, rank, moved, vector, score, use } = this.nodes.get(item.item_id);
    if (this.list.children[place] !== row) this.list.insertBefore(row, this.list.children[place] ?? null);
    const name = vectorOf(item, surface);
    row.dataset.vector = name;
    row.classList.toggle("dim", Boolean(this.chosen) && this.chosen !== name);
    say(rank, String(place + 1));
    if (vector.dataset.name !== name) {
      vector.dataset.name = name;
      vector.replaceChildren(swatch(colours[item.outcome] ?? 0), name);
    }
    say(score, item.score.toFixed(3));
    use.hidden = !surface.context;
    showMove(moved, place, configured && (configured.get(item.item_id) ?? -1));
  }

  made(item) {
    const called = item.title ?? item.item_id;
    const [rank, moved, vector, score] = ["rank", "moved", "vector", "score"]
      .map((name) => element("span", { class: name }));
    const use = element("button", { type: "button", class: "small", "aria-label": `Use ${called} as close-up` },
      "Close-up");
    use.addEventListener("click", () => this.useAsContext(item));
    const id = item.title ? element("span", { class: "faint" }, ` ${item.item_id}`) : null;
    const row = element("li", {}, element("span", { class: "place" }, rank, moved),
      element("span", { class: "name" }, called, id), vector, score, use);
    return { row, rank, moved, vector, score, use };
  }

  /** How many items each vector found, as buttons that show up its items. */
  showVectors(items, surface, colours) {
    const counts = new Map();
    for (const item of items) {
      const name = vectorOf(item, surface);
      counts.set(name, { item, count: (counts.get(name)?.count ?? 0) + 1 });
    }
    if (!counts.has(this.chosen)) this.choose("");
    const order = [...counts].sort(([, one], [, other]) => colours[one.item.outcome] - colours[other.item.outcome]
      || one.item.step - other.item.step || one.item.offset - other.item.offset);
    const place = byId("vectors");
    const known = new Map([...place.children].map((button) => [button.dataset.vector, button]));
    for (const [name, button] of known) if (!counts.has(name)) button.remove();
    order.forEach(([name, { item, count }], position) => {
      const button = known.get(name) ?? this.vectorButton(name, colours[item.outcome] ?? 0);
      if (place.children[position] !== button) place.insertBefore(button, place.children[position] ?? null);
      say(button.lastChild, String(count));
      button.setAttribute("aria-label", `${name}: ${counted(count, "item")}`);
      button.setAttribute("aria-pressed", String(name === this.chosen));
    });
  }

  vectorButton(name, colour) {
    const properties = { type: "button", class: "vector", "data-vector": name, "aria-pressed": "false" };
    const button = element("button", properties, swatch(colour), name, element("strong", {}));
    button.addEventListener("click", () => this.choose(this.chosen === name ? "" : name));
    return button;
  }

  choose(name) {
    this.chosen = name;
    for (const button of byId("vectors").children) {
      button.setAttribute("aria-pressed", String(button.dataset.vector === name));
    }
    for (const { row } of this.nodes.values()) {
      row.classList.toggle("dim", Boolean(name) && row.dataset.vector !== name);
    }
  }

  /** Where each item is seen, by its id. */
  tops() {
    return new Map([...this.nodes].map(([id, { row }]) => [id, row.getBoundingClientRect().top]));
  }

  /** From where each item was seen to where it is now. */
  move(before) {
    for (const { row } of this.nodes.values()) row.getAnimations().forEach((animation) => animation.cancel());
    for (const [id, to] of this.tops()) {
      const { row } = this.nodes.get(id), from = before.get(id);
      if (from === undefined) row.animate([{ opacity: 0 }, { opacity: 1 }], { duration: APPEAR_MS });
      else if (from !== to) {
        const way = [{ transform: `translateY(${from - to}px)` }, { transform: "none" }];
        row.animate(way, { duration: MOVE_MS, easing: "ease-out" });
      }
    }
  }
}

function vectorOf(item, surface) {
  return `${item.outcome} · step ${item.step} · ${ahead(item.offset, surface.offsets_s)}`;
}

/** How far it is from its rank in the list as configured: -1 = not in it, null = nothing to compare with. */
function showMove(target, place, rank) {
  const by = rank === null ? 0 : rank - place;
  let [kind, text, said] = ["", "", ""];
  if (rank === -1) [kind, text, said] = ["new", "new", "not in the list as configured"];
  else if (by > 0) [kind, text, said] = ["up", `▲${by}`, `${by} higher than as configured`];
  else if (by < 0) [kind, text, said] = ["down", `▼${-by}`, `${-by} lower than as configured`];
  target.className = `moved ${kind}`;
  target.title = said;
  say(target, text);
}
