/** One line of sysusers.d(5) that creates something. */
export type SysusersEntry =
  | {
      readonly kind: "user";
      readonly name: string;
      readonly uid?: number;
      /** Primary group: a number, or a name. */
      readonly group?: number | string;
      readonly comment?: string;
      readonly home?: string;
      readonly shell?: string;
    }
  | { readonly kind: "group"; readonly name: string; readonly gid?: number }
  | { readonly kind: "member"; readonly user: string; readonly group: string };

/** Reads the text of a sysusers.d file. Ranges, and lines with a path in place of a number, say nothing here. */
export function parseSysusers(text: string): SysusersEntry[] {
  return text.split("\n").flatMap((line): SysusersEntry[] => {
    if (/^\s*(#|$)/.test(line)) return [];
    const [type = "", name = "", id = "-", comment, home, shell] = fields(line);
    if (name === "") return [];
    switch (type[0]) {
      case "u": {
        const [uid, group] = id.split(":");
        return [
          {
            kind: "user",
            name,
            ...optional("uid", numeric(uid)),
            ...optional("group", group === undefined || group === "" ? undefined : (numeric(group) ?? group)),
            ...optional("comment", said(comment)),
            ...optional("home", said(home)),
            ...optional("shell", said(shell)),
          },
        ];
      }
      case "g":
        return [{ kind: "group", name, ...optional("gid", numeric(id)) }];
      case "m":
        return [{ kind: "member", user: name, group: id }];
      default:
        return [];
    }
  });
}

function fields(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3]!);
}

function numeric(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function said(text: string | undefined): string | undefined {
  return text === undefined || text === "-" || text === "" ? undefined : text;
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V };
}
