// A slider per outcome. Where they stand is made into shares of the list, which are shown beside them.
import { byId, element, say } from "./elements.js";
import { normalised, percents } from "./shares.js";

const COLOURS = 8; // series in demo.css

/** The sliders; `moved(event)` is called for every step of one. */
export class Outcomes {
  constructor(moved) {
    this.moved = moved;
    this.rows = [];
    byId("configured").addEventListener("click", (event) => {
      this.show(this.outcomes);
      this.moved(event);
      this.rows[0]?.input.focus();
    });
  }

  /** Sliders for the outcomes of a surface, standing as configured. */
  show(outcomes) {
    this.outcomes = outcomes;
    this.touched = false;
    this.colours = Object.fromEntries(outcomes.map(({ outcome }, place) => [outcome, place % COLOURS]));
    if (this.rows.map(({ outcome }) => outcome).join() !== outcomes.map(({ outcome }) => outcome).join()) this.build();
    this.rows.forEach(({ input }, place) => (input.value = Math.round(100 * outcomes[place].share)));
    this.tell();
  }

  /** Shares by outcome that sum to 1; null if all sliders stand at 0. */
  get shares() {
    if (!this.touched) return Object.fromEntries(this.outcomes.map(({ outcome, share }) => [outcome, share]));
    return normalised(Object.fromEntries(this.rows.map(({ outcome, input }) => [outcome, Number(input.value)])));
  }

  build() {
    this.rows = this.outcomes.map(({ outcome }, place) => {
      const id = `outcome-${place}`;
      const input = element("input", { id, type: "range", min: 0, max: 100, step: 1 });
      const share = element("output", { for: id });
      input.addEventListener("input", (event) => {
        this.touched = true;
        this.tell();
        this.moved(event);
      });
      const label = element("label", { for: id }, swatch(place), outcome);
      const row = element("div", { class: `slider series-${place % COLOURS}` }, label, input, share);
      return { outcome, input, share, row };
    });
    byId("outcomes").replaceChildren(...this.rows.map(({ row }) => row));
  }

  tell() {
    const shown = percents(this.shares ?? {});
    for (const { outcome, input, share } of this.rows) {
      const text = `${this.shares ? shown[outcome] ?? 0 : 0} %`;
      say(share, text);
      input.setAttribute("aria-valuetext", `${text} of the list`);
    }
    byId("configured").disabled = !this.touched;
  }
}

/** The colour of an outcome; its name always stands beside it. */
export const swatch = (place) => element("span", { class: `swatch series-${place % COLOURS}`, "aria-hidden": "true" });
