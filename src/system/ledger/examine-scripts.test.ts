import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { examineScripts } from "./examine-scripts.ts";

function examine(postinst: string, entries: { path: string; kind: "file" | "directory" | "symlink" }[] = []) {
  const [examined] = examineScripts({
    name: "test",
    controlFiles: { postinst: `#!/bin/sh\nset -e\n${postinst}` },
    entries,
  });
  return examined!;
}

describe("examining maintainer scripts", () => {
  it("drops what only upgrades and removals do", () => {
    const { residue } = examine(`
      case "$1" in
        configure)
          if dpkg --compare-versions "$2" lt-nl 1.2; then frobnicate --old; fi
          if [ -n "$2" ]; then frobnicate "$2"; fi
          ;;
        abort-upgrade|abort-remove) frobnicate --undo ;;
        *) echo "called with unknown argument $1" >&2; exit 1 ;;
      esac
      # Automatically added by dh_installsystemd/13.24.2
      if [ "$1" = "configure" ] ; then
        if deb-systemd-helper debian-installed 'a.service'; then deb-systemd-helper enable 'a.service' >/dev/null || true; fi
      fi
      # End automatically added section`);
    assert.equal(residue, "");
  });

  it("keeps what it does not know, and only that", () => {
    assert.equal(examine("frobnicate --all").residue, "frobnicate --all\n");
    assert.equal(
      examine('if [ "$1" = configure ]; then frobnicate $1 > /etc/x; fi').residue,
      "> /etc/x\nfrobnicate configure\n",
    );
    assert.match(examine('if some-question; then rm -rf "$HOME"; fi').residue, /rm -rf \$\{HOME\}/);
    assert.match(examine("chmod 4755 /usr/bin/x*").residue, /chmod/);
    assert.match(examine("eval $(cat /etc/x)").residue, /eval/);
    assert.match(examine("for f in /etc/*; do chown root $f; done").residue, /chown/);
  });

  it("gives the same digest when comments, spaces and upgrade paths change", () => {
    const one = examine('# old\nif [ -n "$2" ]; then\n  old-way\nfi\nfrobnicate   --all\n');
    const two = examine('frobnicate --all # new\nif dpkg --compare-versions "$2" lt-nl 7; then other; fi\n');
    assert.equal(one.residueSha256, two.residueSha256);
    assert.notEqual(one.sha256, two.sha256);
    assert.notEqual(one.residueSha256, examine("frobnicate --most").residueSha256);
  });

  it("is not led past a script's end by what ends or shifts elsewhere", () => {
    const after = '\nif [ "$1" = configure ]; then frobnicate; fi';
    for (const before of [
      "( exit 0 )",
      "( set -- other )",
      "function quote () {\n  while [ $# -gt 0 ]; do shift; done\n}",
      "function quote {\n  shift\n}",
      "if some-question; then shift; fi",
      "while some-question; do shift; done",
    ]) {
      assert.match(examine(before + after).residue, /frobnicate/, before);
    }
    const pairs = "set -- 0755 /a 0700 /b; chmod $1 $2; shift 2; chmod $1 $2";
    assert.deepEqual(
      examine(pairs).effects.attributes.map(({ path, mode }) => [path, mode]),
      [
        ["/a", 0o755],
        ["/b", 0o700],
      ],
    );
  });

  it("reads capabilities, more groups, shells and names with capitals", () => {
    const { effects, residue } = examine(`
      setcap cap_dac_read_search=p /usr/bin/x
      usermod -aG www-data,adm _daemon
      add-shell /usr/bin/xsh
      adduser --system --group --home /var/lib/x --no-create-home --force-badname Debian-x`);
    assert.equal(residue, "");
    assert.deepEqual(effects.capabilities, [{ path: "/usr/bin/x", value: "0000000204000000000000000000000000000000" }]);
    assert.deepEqual(effects.shells, ["/usr/bin/xsh"]);
    assert.deepEqual(effects.users, [
      { name: "_daemon", supplementaryGroups: ["www-data", "adm"] },
      { name: "Debian-x", home: "/var/lib/x" },
    ]);
    assert.match(examine("adduser --system --group Debian-x").residue, /Debian-x/);
    assert.match(examine("usermod -d /nowhere _daemon").residue, /usermod/);
    assert.match(examine("setcap cap_flying+ep /usr/bin/x").residue, /setcap/);
  });

  it("reads effects that are certain", () => {
    const { effects, residue } = examine(`
      USER=_daemon
      if ! getent passwd $USER >/dev/null; then
        adduser --quiet --system --group --home /var/lib/daemon --no-create-home --gecos "A daemon" "$USER"
      fi
      for dir in log lib; do mkdir -p /var/$dir/daemon; chown $USER:adm /var/$dir/daemon; done
      if ! dpkg-statoverride --list /usr/bin/daemon >/dev/null; then
        dpkg-statoverride --update --add root daemon 04754 /usr/bin/daemon
      fi
      update-alternatives --install /usr/bin/x x /usr/bin/x.daemon 30 --slave /usr/share/x x.1 /usr/share/x.1
      [ -e /etc/daemon.conf ] || cp -p /usr/share/daemon/template /etc/daemon.conf`);
    assert.equal(residue, "");
    assert.deepEqual(effects.users, [{ name: "_daemon", home: "/var/lib/daemon", comment: "A daemon" }]);
    assert.deepEqual(
      effects.directories.map(({ path }) => path),
      ["/var/log/daemon", "/var/lib/daemon"],
    );
    assert.deepEqual(effects.attributes.at(-1), {
      path: "/usr/bin/daemon",
      user: "root",
      group: "daemon",
      mode: 0o4754,
      registered: true,
    });
    assert.equal(effects.alternatives[0]?.priority, 30);
    assert.deepEqual(effects.copies, [{ from: "/usr/share/daemon/template", path: "/etc/daemon.conf" }]);
  });

  it("takes nothing for certain behind a question that it cannot answer", () => {
    const { effects, residue } = examine("if grep -q x /proc/cpuinfo; then chmod 600 /etc/x; fi");
    assert.deepEqual(effects.attributes, []);
    assert.match(residue, /chmod 600/);
    const late = examine("if grep -q x /proc/cpuinfo; then exit 0; fi\nchmod 600 /etc/x");
    assert.deepEqual(late.effects.attributes, []);
    assert.match(late.residue, /chmod 600/);
  });

  it("knows the package's own files", () => {
    const own = [{ path: "/etc/x", kind: "file" } as const];
    assert.equal(examine("if [ -f /etc/x ]; then chmod 600 /etc/x; fi", own).effects.attributes.length, 1);
    assert.equal(examine("if [ -f /etc/x ]; then chmod 600 /etc/x; fi").effects.attributes.length, 0);
    assert.match(examine("rm -f /etc/x", own).residue, /rm -f/);
    assert.equal(examine("rm -f /etc/x").residue, "");
  });

  it("calls hostile and broken scripts unknown, in bounded time", () => {
    for (const source of [
      "if true; then",
      "echo 'open",
      'echo "open',
      "cat <<EOF\nnever ends",
      "case x in",
      "f() { f; f; }; f; frobnicate",
      `${"if true; then ".repeat(500)}frobnicate${"; fi".repeat(500)}`,
      `${"$(".repeat(2000)}`,
      "while true; do frobnicate; done",
      "for a in 1 2 3 4 5 6 7 8 9; do for b in 1 2 3 4 5 6 7 8 9; do for c in 1 2 3 4 5 6 7 8 9; do for d in 1 2 3 4 5 6 7 8 9; do for e in 1 2 3 4 5 6 7 8 9; do frobnicate; done; done; done; done; done",
      "\0\x01\xff frobnicate",
    ]) {
      assert.notEqual(examine(source).residue, "", source.slice(0, 40));
    }
    const perl = examineScripts({ name: "p", controlFiles: { postinst: "#!/usr/bin/perl\nexit 0;\n" }, entries: [] });
    assert.notEqual(perl[0]?.residue, "");
  });

  it("reads every shell script that this machine's packages have", () => {
    const folder = "/var/lib/dpkg/info";
    const scripts = readdirSync(folder).filter((name) => /\.(postinst|preinst)$/.test(name));
    const residues = scripts.map((name) => examine(readFileSync(join(folder, name), "utf8")).residue);
    const settled = residues.filter((residue) => residue === "").length;
    assert.ok(settled > scripts.length / 2, `${settled} of ${scripts.length} are settled without a recipe`);
  });
});
