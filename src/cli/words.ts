/** `202611251907` as people read it: `2026-11-25 19:07`. UTC, as the stamp is. */
export function stampWords(stamp: string): string {
  return stamp.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)$/, "$1-$2-$3 $4:$5");
}

/** An age as people say it: `3 days`, `40 minutes`. */
export function ageWords(seconds: number): string {
  const units = [
    ["day", 86_400],
    ["hour", 3600],
    ["minute", 60],
  ] as const;
  for (const [name, length] of units) {
    const number = Math.floor(seconds / length);
    if (number >= 1) return `${number} ${name}${number === 1 ? "" : "s"}`;
  }
  return "less than a minute";
}
