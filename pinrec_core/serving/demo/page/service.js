// What the page asks of the service, and what it is told when that does not work.

/** Why there is no answer, in words for the person at the page; `gone` = nobody answered at all. */
export class Problem extends Error {
  constructor(message, gone = false) {
    super(message);
    this.gone = gone;
  }
}

/** JSON of a list below /demo/lists. */
export const list = (name, query, signal) =>
  answered(`lists/${name}?${new URLSearchParams(query)}`, { signal });

/** Items, asked as any client asks. */
export const retrieve = (body, signal) =>
  answered("../v1/retrieve", { method: "POST", body: JSON.stringify(body), signal });

/**
 * The same function, of which only the latest call counts: an earlier one still under way is aborted and gives null.
 * The function takes an AbortSignal after its arguments.
 */
export function latest(ask) {
  let current = null;
  return async (...values) => {
    current?.abort();
    const mine = (current = new AbortController());
    try {
      const answer = await ask(...values, mine.signal);
      return mine === current ? answer : null;
    } catch (error) {
      if (mine !== current || error.name === "AbortError") return null;
      throw error;
    }
  };
}

async function answered(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service does not answer. Start it again: pinrec demo", true);
  }
  const answer = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Problem(`The service answers with status ${response.status} and no JSON.`);
  });
  if (!response.ok) throw new Problem([answer.error, answer.hint].filter(Boolean).join("; "));
  return answer;
}
