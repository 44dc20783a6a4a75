import type { ExpandedWord } from "./shell-words.ts";

/** Three-valued: `undefined` is "cannot be known without running the script". */
export type Truth = boolean | undefined;

/** What stands at a path on a first installation, `undefined` when that depends on other packages. */
export type PathOracle = (path: string) => "file" | "directory" | "symlink" | "nothing" | undefined;

/** Accounts and groups that base-passwd brings, so that asking for them in a script finds them. */
const baseAccounts = new Set(
  (
    "root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc _apt nobody adm tty disk kmem " +
    "dialout fax voice cdrom floppy tape sudo audio dip operator src shadow utmp video sasl plugdev staff users nogroup"
  ).split(" "),
);

/**
 * What a query would answer on the first installation of a package into an empty system, where
 * systemd does not run. `undefined` for commands that are no query or whose answer is unknown.
 */
export function answerOf(command: readonly ExpandedWord[], kindOf: PathOracle): Truth {
  const name = command[0]?.text;
  if (name === "true" || name === ":") return true;
  if (name === "false") return false;
  if (name === "test") return testAnswer(command.slice(1), kindOf);
  if (name === "[") return testAnswer(command.slice(1, -1), kindOf);
  if (!command.every((word) => word.known)) return undefined;
  const words = command.map((word) => word.text);
  if (name === "dpkg" && words[1] === "--compare-versions") return compareWithEmpty(words[2], words[3], words[4]);
  if (name === "dpkg-statoverride" && words.includes("--list")) return false;
  if (name === "getent" && words.length === 3) return baseAccounts.has(words[2]!);
  if (name === "id" && words.length >= 2) return baseAccounts.has(words.at(-1)!);
  if (name === "ischroot") return true;
  return undefined;
}

/** An empty version is "never installed": dpkg(1), --compare-versions. */
function compareWithEmpty(left: string | undefined, operator = "", right = ""): Truth {
  if (left === undefined || left !== "" || right === "") return undefined;
  if (["lt", "le", "ne", "<", "<=", "<<", "gt-nl", "ge-nl"].includes(operator)) return true;
  return ["gt", "ge", "eq", "=", ">", ">=", ">>", "lt-nl", "le-nl"].includes(operator) ? false : undefined;
}

/** test(1) with `!`, `-a` and `-o`. */
function testAnswer(words: readonly ExpandedWord[], kindOf: PathOracle): Truth {
  const isOperator = (text: string) => (word: ExpandedWord, index: number) =>
    word.known && word.text === text && index > 0 && index < words.length - 1;
  if (words.length > 3) {
    const or = words.findIndex(isOperator("-o"));
    if (or !== -1) return either(testAnswer(words.slice(0, or), kindOf), testAnswer(words.slice(or + 1), kindOf));
    const and = words.findIndex(isOperator("-a"));
    if (and !== -1) return both(testAnswer(words.slice(0, and), kindOf), testAnswer(words.slice(and + 1), kindOf));
  }
  const [first, second, third] = words;
  if (first === undefined) return false;
  if (first.text === "!" && words.length > 1) return not(testAnswer(words.slice(1), kindOf));
  if (words.length === 1) return first.known ? first.text !== "" : undefined;
  if (words.length === 2) return second!.known ? unaryAnswer(first.text, second!.text, kindOf) : undefined;
  if (words.length !== 3 || !first.known || !third!.known) return undefined;
  return binaryAnswer(first.text, second!.text, third!.text);
}

function unaryAnswer(operator: string, operand: string, kindOf: PathOracle): Truth {
  if (operator === "-n") return operand !== "";
  if (operator === "-z") return operand === "";
  if (operator === "-t") return false;
  if (operand === "") return false;
  if (operand === "/run/systemd/system" || operand === "/run/systemd/system/") return false;
  return fileAnswer(operator, kindOf(operand));
}

function fileAnswer(operator: string, kind: ReturnType<PathOracle>): Truth {
  if (kind === undefined) return undefined;
  if (kind === "nothing") return /^-[efdxrwsLhbcpS]$/.test(operator) ? false : undefined;
  if (operator === "-L" || operator === "-h") return kind === "symlink";
  if (kind === "symlink") return undefined;
  if (operator === "-f") return kind === "file";
  if (operator === "-d") return kind === "directory";
  return operator === "-e" || operator === "-r" || operator === "-w" ? true : undefined;
}

function binaryAnswer(left: string, operator: string, right: string): Truth {
  if (operator === "=" || operator === "==") return left === right;
  if (operator === "!=") return left !== right;
  const [a, b] = [Number(left), Number(right)];
  if (!/^-?\d+$/.test(left) || !/^-?\d+$/.test(right)) return undefined;
  const answers: Record<string, boolean> = {
    "-eq": a === b,
    "-ne": a !== b,
    "-lt": a < b,
    "-le": a <= b,
    "-gt": a > b,
    "-ge": a >= b,
  };
  return answers[operator];
}

export function not(value: Truth): Truth {
  return value === undefined ? undefined : !value;
}

export function both(a: Truth, b: Truth): Truth {
  if (a === false || b === false) return false;
  return a && b;
}

export function either(a: Truth, b: Truth): Truth {
  if (a === true || b === true) return true;
  return a === false && b === false ? false : undefined;
}
