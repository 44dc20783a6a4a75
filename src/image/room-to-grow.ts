/**
 * Units to set aside for what takes `units` now: the next power of two when small, else up to an eighth more.
 * What changes size within that keeps its address, as `place` draws addresses from sizes too.
 */
export function roomToGrow(units: number): number {
  const power = 2 ** Math.floor(Math.log2(units));
  if (units === power) return units;
  const step = power <= 8 ? power : power / 8;
  return Math.ceil(units / step) * step;
}
