// A few names and how many more there are.

const NAMED_MAX = 3;

export function listed(names, andMore) {
  const left = names.length - NAMED_MAX;
  return [names.slice(0, NAMED_MAX).join(", "), left > 0 && andMore(left)].filter(Boolean).join(" ");
}
