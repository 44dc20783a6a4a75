/**
 * What changes between two texts, as hunks of a unified diff (POSIX.1-2024, diff -U) without a header; empty when
 * nothing does. Made by Myers' algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986, section 4b): as few
 * lines as possible, but for texts that share next to nothing.
 *
 * @param context unchanged lines around each change.
 */
export function unifiedDiff(before: string, after: string, context = 3): string {
  const a = linesOf(before);
  const b = linesOf(after);
  const changes = changedLines(a, b);
  return hunksOf(changes, a.length, b.length, context)
    .map((hunk) => formatHunk(hunk, a, b, changes))
    .join("");
}

/** For each line of either side whether the other side lacks it. */
interface ChangedLines {
  readonly removed: Uint8Array;
  readonly added: Uint8Array;
}

/** Each with its line feed; the last may lack it. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function changedLines(a: readonly string[], b: readonly string[]): ChangedLines {
  const removed = new Uint8Array(a.length);
  const added = new Uint8Array(b.length);
  const numbers = new Map<string, number>();
  const numberOf = (line: string): number => {
    const number = numbers.get(line) ?? numbers.size;
    numbers.set(line, number);
    return number;
  };
  const left = a.map(numberOf);
  const right = b.map(numberOf);
  // Lines of one side only are changed whatever else is: without them the rest is small.
  const inLeft = new Set(left);
  const inRight = new Set(right);
  const keptLeft = kept(left, (number) => inRight.has(number), removed);
  const keptRight = kept(right, (number) => inLeft.has(number), added);
  compare(
    keptLeft.map((at) => left[at]!),
    keptRight.map((at) => right[at]!),
    (at) => {
      removed[keptLeft[at]!] = 1;
    },
    (at) => {
      added[keptRight[at]!] = 1;
    },
  );
  slideDown(left, removed);
  slideDown(right, added);
  return { removed, added };
}

/** Places of the numbers that stay; the others are marked. */
function kept(numbers: readonly number[], stays: (number: number) => boolean, marks: Uint8Array): number[] {
  const places: number[] = [];
  for (const [at, number] of numbers.entries()) {
    if (stays(number)) places.push(at);
    else marks[at] = 1;
  }
  return places;
}

function compare(
  a: readonly number[],
  b: readonly number[],
  remove: (at: number) => void,
  add: (at: number) => void,
): void {
  const boxes = [{ aLow: 0, aHigh: a.length, bLow: 0, bHigh: b.length }];
  for (let box = boxes.pop(); box !== undefined; box = boxes.pop()) {
    let { aLow, aHigh, bLow, bHigh } = box;
    while (aLow < aHigh && bLow < bHigh && a[aLow] === b[bLow]) {
      aLow++;
      bLow++;
    }
    while (aLow < aHigh && bLow < bHigh && a[aHigh - 1] === b[bHigh - 1]) {
      aHigh--;
      bHigh--;
    }
    const middle = aLow < aHigh && bLow < bHigh ? middleSnake(a.slice(aLow, aHigh), b.slice(bLow, bHigh)) : undefined;
    if (middle) {
      const { x, y, length } = middle;
      boxes.push({ aLow, aHigh: aLow + x, bLow, bHigh: bLow + y });
      boxes.push({ aLow: aLow + x + length, aHigh, bLow: bLow + y + length, bHigh });
    } else {
      for (let at = aLow; at < aHigh; at++) remove(at);
      for (let at = bLow; at < bHigh; at++) add(at);
    }
  }
}

/** Steps from each end after which two texts count as sharing nothing: bounds the time. */
const maximumSteps = 2000;

interface Snake {
  readonly x: number;
  readonly y: number;
  readonly length: number;
}

/** The run of equal lines in the middle of a shortest way from one list to the other; undefined when it is long. */
function middleSnake(a: readonly number[], b: readonly number[]): Snake | undefined {
  const delta = a.length - b.length;
  const isOdd = (delta & 1) !== 0;
  const steps = Math.min(maximumSteps, Math.ceil((a.length + b.length) / 2));
  const forward = furthestReach(a.length, b.length, steps, (x, y) => a[x] === b[y]);
  const backward = furthestReach(a.length, b.length, steps, (x, y) => a.at(-1 - x) === b.at(-1 - y));
  for (let step = 0; step <= steps; step++) {
    for (let k = -step; k <= step; k += 2) {
      const { x, length } = forward.advance(k, step);
      const meets = isOdd && Math.abs(delta - k) < step && x + length + backward.reached(delta - k) >= a.length;
      if (meets) return { x, y: x - k, length };
    }
    for (let k = -step; k <= step; k += 2) {
      const { x, length } = backward.advance(k, step);
      const meets = !isOdd && Math.abs(delta - k) <= step && x + length + forward.reached(delta - k) >= a.length;
      if (meets) return { x: a.length - x - length, y: b.length - (x - k) - length, length };
    }
  }
  return undefined;
}

interface Reach {
  /** One step further on diagonal `k`: where the run of equal lines begins that it ends with, and its length. */
  readonly advance: (k: number, step: number) => { readonly x: number; readonly length: number };
  readonly reached: (k: number) => number;
}

function furthestReach(width: number, height: number, steps: number, equal: (x: number, y: number) => boolean): Reach {
  const furthest = new Int32Array(2 * steps + 3).fill(nowhere);
  const middle = steps + 1;
  return {
    reached: (k) => furthest[middle + k]!,
    advance: (k, step) => {
      const across = furthest[middle + k - 1]!;
      const down = furthest[middle + k + 1]!;
      let x = step === 0 ? 0 : nowhere;
      if (across >= 0 && across < width) x = across + 1;
      if (down >= 0 && down - k <= height) x = Math.max(x, down);
      if (x < 0) {
        furthest[middle + k] = nowhere;
        return { x: nowhere, length: 0 };
      }
      let length = 0;
      while (x + length < width && x - k + length < height && equal(x + length, x - k + length)) length++;
      furthest[middle + k] = x + length;
      return { x, length };
    },
  };
}

const nowhere = -(2 ** 29);

/** Of equal places for a change the last: a block that was added to its like shows as added after it. */
function slideDown(numbers: readonly number[], marks: Uint8Array): void {
  for (let start = numbers.length - 1; start >= 0; start--) {
    if (marks[start] === 0 || (start > 0 && marks[start - 1] === 1)) continue;
    let first = start;
    let end = start;
    for (;;) {
      while (end < numbers.length && marks[end] === 1) end++;
      if (end === numbers.length || numbers[first] !== numbers[end]) break;
      marks[first++] = 0;
      marks[end++] = 1;
    }
  }
}

/** Ranges of lines on both sides, context included. */
interface Hunk {
  readonly a: number;
  readonly aEnd: number;
  readonly b: number;
  readonly bEnd: number;
}

function hunksOf({ removed, added }: ChangedLines, aLength: number, bLength: number, context: number): Hunk[] {
  const hunks: Hunk[] = [];
  let a = 0;
  let b = 0;
  while (a < aLength || b < bLength) {
    if (removed[a] !== 1 && added[b] !== 1) {
      a++;
      b++;
      continue;
    }
    const start = { a, b };
    while (removed[a] === 1) a++;
    while (added[b] === 1) b++;
    const before = Math.min(context, start.a, start.b);
    const hunk = {
      a: start.a - before,
      b: start.b - before,
      aEnd: Math.min(aLength, a + context),
      bEnd: Math.min(bLength, b + context),
    };
    const last = hunks.at(-1);
    if (last && hunk.a <= last.aEnd) hunks[hunks.length - 1] = { ...last, aEnd: hunk.aEnd, bEnd: hunk.bEnd };
    else hunks.push(hunk);
  }
  return hunks;
}

function formatHunk(hunk: Hunk, a: readonly string[], b: readonly string[], { removed, added }: ChangedLines): string {
  const parts = [`@@ -${range(hunk.a, hunk.aEnd)} +${range(hunk.b, hunk.bEnd)} @@\n`];
  let x = hunk.a;
  let y = hunk.b;
  while (x < hunk.aEnd || y < hunk.bEnd) {
    if (removed[x] === 1) parts.push(formatLine("-", a[x++]!));
    else if (added[y] === 1) parts.push(formatLine("+", b[y++]!));
    else {
      parts.push(formatLine(" ", a[x++]!));
      y++;
    }
  }
  return parts.join("");
}

/** A range without lines is told by the line before it. */
function range(start: number, end: number): string {
  const count = end - start;
  if (count === 1) return String(start + 1);
  return `${count === 0 ? start : start + 1},${count}`;
}

function formatLine(mark: string, line: string): string {
  return line.endsWith("\n") ? `${mark}${line}` : `${mark}${line}\n\\ No newline at end of file\n`;
}
