// The demonstration: what is asked stands in the form; each change of it asks again, and the latest one counts.
import { byId, counted, element, say } from "./elements.js";
import { Found } from "./found.js";
import { showHistory } from "./history.js";
import { Outcomes } from "./outcomes.js";
import { picker } from "./picker.js";
import { latest, list, retrieve } from "./service.js";
import { firstUser, suggestItems, suggestUsers } from "./suggestions.js";

const SAID_AFTER_MS = 500;
const asked = { surface: null, user: "", context: null };
let surfaces = [], configured = { key: "", ranks: null }, saying = 0;

const outcomes = new Outcomes(refresh);
const found = new Found(useAsContext);
const ask = latest((bodies, signal) => Promise.all(bodies.map((body) => retrieve(body, signal))));
const readHistory = latest((query, signal) => list("history", query, signal));
const users = picker(byId("user-picker"), { id: "user", placeholder: "id, or how it begins", failed: showProblem,
  suggest: (...given) => suggestUsers(asked.surface.surface, ...given), chosen: ({ value }) => chooseUser(value) });
const contexts = picker(byId("context-picker"), { id: "context", placeholder: "title or id", failed: showProblem,
  suggest: (...given) => suggestItems(asked.surface.surface, ...given),
  chosen: ({ value, label }) => useAsContext({ item_id: value, title: label }) });

/** Ask for items and show them; `event` is what the person did, from which the time on screen is counted. */
async function refresh(event) {
  const start = event?.timeStamp ?? performance.now();
  const { surface } = asked;
  const shares = outcomes.shares;
  if (!shares) {
    ask([]); // what is under way is not wanted any more
    say(byId("told"), "All sliders stand at 0: give one outcome a share.");
    byId("retrieved").classList.add("stale");
    byId("retrieved").removeAttribute("aria-busy");
    return;
  }
  const plain = request(), key = JSON.stringify(plain);
  const bodies = outcomes.touched ? [{ ...plain, outcomes: shares }] : [plain];
  if (outcomes.touched && configured.key !== key) bodies.push(plain);
  byId("retrieved").setAttribute("aria-busy", "true");
  try {
    const answers = await ask(bodies);
    if (!answers) return; // a later one is on its way
    const [answer, compared = outcomes.touched ? null : answer] = answers;
    if (compared) configured = { key, ranks: new Map(compared.items.map(({ item_id }, rank) => [item_id, rank])) };
    found.show(answer, surface, outcomes.colours, outcomes.touched ? configured.ranks : null);
    hideProblem();
    painted(start, answer);
    tellSoon(answer);
    if (answer.release_id !== surface.release_id) await loadSurfaces(); // another release went live meanwhile
  } catch (problem) {
    showProblem(problem);
  }
  byId("retrieved").removeAttribute("aria-busy");
}

function request() {
  return { surface: asked.surface.surface, user_id: asked.user, n: Number(byId("count").value), explain: true,
    time_ms: asked.surface.time_ms, exclude_seen: byId("unseen").checked,
    ...(asked.context ? { context: { item_id: asked.context.item_id } } : {}) };
}

/** Once the new list is on screen, say how long that took, and leave it as a measure in the browser's timeline. */
function painted(start, answer) {
  requestAnimationFrame(() => setTimeout(() => {
    const end = performance.now();
    performance.measure("input to list", { start, end });
    const computed = answer.explain.computed_ms.toFixed(1);
    say(byId("time"), `on screen after ${Math.round(end - start)} ms, computed in ${computed} ms`);
  }));
}

/** In words, once the person pauses: a screen reader would else read every step of a slider. */
function tellSoon(answer) {
  clearTimeout(saying);
  saying = setTimeout(() => {
    const by = new Map();
    for (const { outcome } of answer.items) by.set(outcome, (by.get(outcome) ?? 0) + 1);
    const split = [...by].map(([outcome, count]) => `${count} by ${outcome}`).join(", ");
    const items = counted(answer.items.length, "item");
    say(byId("told"), `${items} for ${asked.user} on ${answer.surface}${split && `: ${split}`}`);
  }, SAID_AFTER_MS);
}

async function chooseUser(user, event) {
  asked.user = user;
  users.show(user);
  keepAddress();
  await Promise.all([refresh(event), loadHistory()]);
}

async function loadHistory() {
  try {
    const answer = await readHistory({ surface: asked.surface.surface, user_id: asked.user });
    if (!answer) return;
    showHistory(answer.engagements, asked.surface.surface);
    say(byId("user-note"), answer.engagements.length ? ""
      : `${asked.user} is not among the ${counted(asked.surface.users, "user")} of this release, or has no history.`);
  } catch (problem) {
    showProblem(problem);
  }
}

async function chooseSurface(surface, event) {
  asked.surface = surface;
  configured = { key: "", ranks: null };
  outcomes.show(surface.outcomes);
  byId("context-field").hidden = !surface.context;
  say(byId("release"), [`release ${surface.release_id.slice(0, 12)}`, counted(surface.items, "item"),
    counted(surface.users, "user")].join(" · "));
  keepContext(null);
  await chooseUser(asked.user || (await firstUser(surface.surface)), event);
}

function useAsContext(item) {
  keepContext(item);
  refresh();
}

function keepContext(item) {
  asked.context = item;
  contexts.show(item ? item.title ?? item.item_id : "");
  byId("no-context").disabled = !item;
  say(byId("context-note"), item ? `Item ${item.item_id} is read as the last of the history.`
    : "None chosen: asked from the history alone.");
}

async function anotherUser(event) {
  try {
    const skip = Math.floor(Math.random() * asked.surface.users);
    const answer = await list("users", { surface: asked.surface.surface, skip, limit: 1 });
    if (answer.users.length) await chooseUser(answer.users[0].user_id, event);
  } catch (problem) {
    showProblem(problem);
  }
}

/** The surfaces as radio buttons, which the keyboard knows already. */
async function loadSurfaces() {
  const wanted = asked.surface?.surface ?? new URLSearchParams(location.search).get("surface");
  const answer = await list("surfaces", {});
  surfaces = answer.surfaces;
  byId("count").max = Math.min(100, answer.max_n);
  byId("surfaces").replaceChildren(...surfaces.map((surface) => {
    const radio = element("input", { type: "radio", name: "surface", value: surface.surface });
    radio.addEventListener("change", (event) => chooseSurface(surface, event));
    return element("label", {}, radio, element("span", {}, surface.surface));
  }));
  const chosen = surfaces.find(({ surface }) => surface === wanted) ?? surfaces[0];
  byId("surfaces").querySelectorAll("input")[surfaces.indexOf(chosen)].checked = true;
  await chooseSurface(chosen);
}

/** The address is what to send to somebody else. */
function keepAddress() {
  history.replaceState(null, "", `?${new URLSearchParams({ surface: asked.surface.surface, user: asked.user })}`);
}

function showProblem(problem) {
  byId("problem").hidden = false;
  byId("problem").firstElementChild.textContent = problem.message;
  byId("retrieved").classList.add("stale");
}

function hideProblem() {
  byId("problem").hidden = true;
  byId("retrieved").classList.remove("stale");
}

async function begin() {
  try {
    await loadSurfaces();
  } catch (problem) {
    showProblem(problem);
  }
}

asked.user = new URLSearchParams(location.search).get("user") ?? "";
byId("controls").addEventListener("submit", (event) => event.preventDefault());
byId("another").addEventListener("click", anotherUser);
byId("no-context").addEventListener("click", () => useAsContext(null));
byId("count").addEventListener("input", (event) => {
  say(byId("count-shown"), byId("count").value);
  refresh(event);
});
byId("unseen").addEventListener("change", refresh);
byId("problem").querySelector("button")
  .addEventListener("click", () => (asked.surface ? chooseUser(asked.user) : begin()));
begin();
