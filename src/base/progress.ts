/** What a long step tells about itself while it runs; rendering is the business of whoever listens. */
export interface ProgressEvent {
  /** Short name of the stage: `fetch`, `import`, `write`. */
  readonly stage: string;
  /** Sentence fragment with real numbers: `42 of 155 archives, 31.2 of 85.9 MB`. */
  readonly text: string;
  /** Share done, 0 to 1, where it is known. */
  readonly share?: number;
  /** The stage is over; how long it took, in seconds. 0 for what took no time: a remark. */
  readonly seconds?: number;
}

export type Report = (event: ProgressEvent) => void;

/** 85.9 MB, 220 kB: decimal units, three digits. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** Seconds with the digits that matter: 0.05 s, 3.2 s, 41 s. */
export function formatSeconds(seconds: number): string {
  return `${seconds.toFixed(seconds < 0.995 ? 2 : seconds < 99.5 ? 1 : 0)} s`;
}
