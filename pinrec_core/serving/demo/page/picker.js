// A text field with suggestions: the combobox pattern of the ARIA Authoring Practices, for the keyboard first.
import { element } from "./elements.js";
import { latest } from "./service.js";

/**
 * Make one inside `place`. `suggest(text, signal)` gives {options: [{value, label, detail}], note}; `chosen(option)`
 * is called with an option, or with {value, label} of what was typed. Returns {show(text)}.
 */
export function picker(place, { id, placeholder, suggest, chosen, failed }) {
  const input = element("input", { id, placeholder, type: "text", role: "combobox", autocomplete: "off",
    spellcheck: false, "aria-expanded": "false", "aria-controls": `${id}-options`, "aria-autocomplete": "list" });
  const options = element("ul", { id: `${id}-options`, role: "listbox", "aria-label": "Suggestions" });
  const note = element("p", { class: "note" });
  const popup = element("div", { class: "popup", hidden: true }, options, note);
  place.append(input, popup);
  let offered = [], active = -1, shown = "";
  let turn = 0; // of opening and closing: what was asked for before the last one is not shown

  const ask = latest(suggest);
  const isOpen = () => !popup.hidden;

  async function open() {
    const mine = ++turn;
    let answer;
    try {
      answer = await ask(input.value === shown ? "" : input.value.trim());
    } catch (problem) {
      failed(problem);
      return;
    }
    if (!answer || mine !== turn || document.activeElement !== input) return;
    offered = answer.options;
    options.replaceChildren(...offered.map(({ label, detail }, place) => element("li",
      { id: `${id}-option-${place}`, role: "option", "aria-selected": "false" },
      element("span", {}, label), element("span", { class: "faint" }, detail))));
    note.textContent = answer.note;
    popup.hidden = false;
    input.setAttribute("aria-expanded", "true");
    activate(-1);
  }

  function close() {
    turn += 1;
    popup.hidden = true;
    input.setAttribute("aria-expanded", "false");
    activate(-1);
  }

  function activate(place) {
    active = place;
    [...options.children].forEach((option, k) => option.setAttribute("aria-selected", String(k === place)));
    if (place < 0) input.removeAttribute("aria-activedescendant");
    else {
      input.setAttribute("aria-activedescendant", options.children[place].id);
      options.children[place].scrollIntoView({ block: "nearest" });
    }
  }

  function choose(option) {
    close();
    show(option.label);
    chosen(option);
  }

  function show(text) {
    shown = input.value = text;
  }

  const keys = {
    async ArrowDown() {
      if (!isOpen()) await open();
      if (offered.length) activate((active + 1) % offered.length);
    },
    ArrowUp() {
      if (isOpen() && offered.length) activate((active <= 0 ? offered.length : active) - 1);
    },
    Enter() {
      const typed = input.value.trim();
      if (isOpen() && active >= 0) choose(offered[active]);
      else if (!typed || typed === shown) close();
      else choose(offered.find(({ value }) => value === typed) ?? { value: typed, label: typed });
    },
    Escape() {
      close();
      show(shown);
    },
  };
  input.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.isComposing) return;
    event.preventDefault();
    keys[event.key]();
  });
  input.addEventListener("input", open);
  input.addEventListener("click", () => isOpen() || open());
  input.addEventListener("focus", () => input.select());
  input.addEventListener("blur", () => {
    close();
    show(shown);
  });
  options.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
  options.addEventListener("click", (event) => {
    const place = [...options.children].indexOf(event.target.closest("li"));
    if (place >= 0) choose(offered[place]);
  });
  return { show };
}
