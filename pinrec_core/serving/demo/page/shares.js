// From where sliders stand to shares of one list.

/** Shares that sum to 1, by name, of those above 0; null if all stand at 0. */
export function normalised(positions) {
  const total = Object.values(positions).reduce((sum, position) => sum + position, 0);
  if (!(total > 0)) return null;
  return Object.fromEntries(Object.entries(positions).filter(([, position]) => position > 0)
    .map(([name, position]) => [name, position / total]));
}

/** Whole percent of shares that sum to 1, which sum to 100: the largest remainders are rounded up. */
export function percents(shares) {
  const exact = Object.entries(shares)
    .map(([name, share]) => ({ name, whole: Math.floor(100 * share), rest: (100 * share) % 1 }));
  let missing = 100 - exact.reduce((sum, { whole }) => sum + whole, 0);
  for (const each of [...exact].sort((one, other) => other.rest - one.rest)) {
    if (missing-- > 0) each.whole += 1;
  }
  return Object.fromEntries(exact.map(({ name, whole }) => [name, whole]));
}
