// The way to the web and back: proxies with a list of sites, a mirror of packages, reverse proxies, web servers.

import { etcFile, etcFiles, type Machine, pipe, simpleService } from "mesoforge";
import { aptCacherNg, nginx, squid, withHardening, withServices } from "mesoforge/services";
import { cciplClusterNet, domain, glicidNet } from "../networks.ts";
import { offered } from "../site.ts";
import { oneDisk, twoDisks } from "../template/v3.ts";
import { stateDisk, virtualMachine } from "./machine.ts";

/** Sites that machines without a way of their own may reach. */
export const allowedSites = [".debian.org", ".gnu.org", ".gitlab.example", ".pypi.org", ".pythonhosted.org"];

const proxy = pipe(
  oneDisk,
  withServices(squid({ clients: [glicidNet.range, cciplClusterNet.range], allowedSites, memory: "512 MB" })),
  withHardening(),
);

/** Fetches through a proxy what machines ask for, and keeps it: a whole site is updated from one copy. */
const mirror = pipe(
  twoDisks,
  withServices(
    aptCacherNg({ clients: [glicidNet.range, cciplClusterNet.range], proxy: offered.proxies[0], keepDays: 30 }),
  ),
);

const reverse = pipe(
  oneDisk,
  withServices(
    nginx({
      sites: [
        { names: [`www.${domain}`], locations: [{ path: "/", proxyTo: offered.web }] },
        { locations: [{ path: "/", redirectTo: `http://www.${domain}/` }] },
      ],
    }),
  ),
  withHardening(),
);

const page = `<!doctype html><title>GLiCID</title><h1>GLiCID</h1><p>The regional computing centre, ${domain}.</p>\n`;

const server = pipe(
  oneDisk,
  withServices(
    nginx({ sites: [{ locations: [{ path: "/", root: "/etc/site" }] }] }),
    simpleService("pages", etcFiles, [etcFile("/etc/site/index.html", page)]),
  ),
);

export const web: Readonly<Record<string, Machine>> = {
  "web/proxy-1": virtualMachine("proxy-1", 240, proxy, { group: "proxies", memory: "2GiB" }),
  "web/proxy-2": virtualMachine("proxy-2", 241, proxy, { group: "proxies", memory: "2GiB" }),
  "web/mirror": virtualMachine("mirror", 246, mirror, { memory: "2GiB", ...stateDisk("60GiB") }),
  "web/reverse-1": virtualMachine("reverse-1", 242, reverse, { group: "reverse" }),
  "web/reverse-2": virtualMachine("reverse-2", 243, reverse, { group: "reverse" }),
  "web/www-1": virtualMachine("www-1", 244, server, { group: "www" }),
  "web/www-2": virtualMachine("www-2", 245, server, { group: "www" }),
};
