import type { Endpoint } from "../language/endpoint.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { sbin, type Text, text } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { secretFile, secretFiles } from "../system/essential-credentials.ts";
import { etcFile, etcFiles, symlink } from "../system/essential-files.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { enableUnit, systemdUnits } from "../system/essential-units.ts";
import { type NginxSite, nginx } from "./nginx.ts";
import type { ZabbixDatabase } from "./zabbix-server.ts";

export interface ZabbixFrontendOptions {
  readonly database: ZabbixDatabase;
  readonly title: string;
  readonly server?: Endpoint<"zabbix-server"> | undefined;
  readonly names?: readonly string[];
  readonly port?: number | undefined;
  readonly tls?: NginxSite["tls"] | undefined;
  readonly timeZone?: string;
}

/** What people see of a Zabbix server, and the interface for programs: `/api_jsonrpc.php`. */
export const zabbixFrontend = serviceType<ZabbixFrontendOptions>({
  name: "zabbix-frontend",
  description: "Web front end of a Zabbix server, and its interface for programs, by nginx and PHP.",
  options: {
    database: "The server's own.",
    title: "What the site is called.",
    server: "The Zabbix server, where it is on another machine.",
    names: "Names that it answers to; none: whatever it is called.",
    port: "TCP port; 80, or 443 with tls, unless said.",
    tls: "Files of certificate and key on the machine, in PEM form.",
    timeZone: "Of people who have chosen none: Europe/Paris.",
  },
  defaults: { server: undefined, names: [], port: undefined, tls: undefined, timeZone: "UTC" },
  extensions: [
    extend(profile, ({ database: { kind } }, system) => [
      "zabbix-frontend-php",
      `php${phpVersion(system)}-fpm`,
      kind === "mariadb" ? "php-mysql" : "php-pgsql",
    ]),
    extend(nginx, ({ names, port, tls }) => [
      {
        names,
        ...(port !== undefined && { port }),
        ...(tls && { tls }),
        extraConfiguration: "index index.php;",
        locations: [
          { path: "/", root },
          { path: "~ ^/(conf|app|include|local|locale)/", root, extraConfiguration: "deny all;" },
          {
            path: "~ \\.php$",
            root,
            extraConfiguration: `include /etc/nginx/fastcgi.conf;\nfastcgi_read_timeout 300;\nfastcgi_pass unix:${socket};`,
          },
        ],
      },
    ]),
    extend(etcFiles, (options, system) => [
      etcFile(`/etc/php/${phpVersion(system)}/fpm/pool.d/zabbix.conf`, poolConf(options)),
      options.database.password
        ? symlink("/etc/zabbix/zabbix.conf.php", hiddenConf)
        : etcFile("/etc/zabbix/zabbix.conf.php", frontendConf(options, "''")),
    ]),
    extend(secretFiles, (options, system) =>
      options.database.password
        ? [
            secretFile({
              // What stands between the marks is a string of PHP whatever it holds.
              ...{ path: hiddenConf, content: frontendConf(options, "<<<'MESO'\n@PASSWORD@\nMESO") },
              ...{ secrets: { PASSWORD: options.database.password }, user: "zabbix" },
              units: [`php${phpVersion(system)}-fpm.service`],
            }),
          ]
        : [],
    ),
    extend(systemdUnits, (_, system) => [enableUnit(`php${phpVersion(system)}-fpm.service`)]),
    extend(configurationChecks, (_, system) => {
      const version = phpVersion(system);
      return [
        {
          name: "php-fpm",
          program: sbin(`php${version}-fpm`, `php-fpm${version}`),
          arguments: ["--test", "--fpm-config", `/etc/php/${version}/fpm/php-fpm.conf`],
          reads: [`/etc/php/${version}`],
          loads: ["/usr/lib/php"],
          folders: ["/run/php", "/var/log"],
          asRoot: true,
        },
      ];
    }),
    extend(checks, (_, system) => [unitActive(`php${phpVersion(system)}-fpm.service`)]),
  ],
});

const root = "/usr/share/zabbix";
const socket = "/run/php/zabbix.sock";
const hiddenConf = "/run/zabbix-secrets/zabbix.conf.php";

function phpVersion({ channel }: OperatingSystem): string {
  return channel.suite === "bookworm" ? "8.2" : "8.4";
}

/** As the user whom the database knows. */
function poolConf({ timeZone }: Required<ZabbixFrontendOptions>): Text {
  return text`
    [zabbix]
    user = zabbix
    group = zabbix
    listen = ${socket}
    listen.owner = www-data
    listen.mode = 0600
    pm = dynamic
    pm.max_children = 20
    pm.start_servers = 2
    pm.min_spare_servers = 1
    pm.max_spare_servers = 5
    php_value[max_execution_time] = 300
    php_value[memory_limit] = 256M
    php_value[post_max_size] = 16M
    php_value[upload_max_filesize] = 2M
    php_value[max_input_time] = 300
    php_value[max_input_vars] = 10000
    php_value[date.timezone] = ${timeZone}
  `;
}

function frontendConf({ database, server, title }: Required<ZabbixFrontendOptions>, password: string): Text {
  const { name = "zabbix" } = database;
  const here = database.kind === "mariadb" ? "localhost" : "";
  return text`
    <?php
    $DB['TYPE'] = '${database.kind === "mariadb" ? "MYSQL" : "POSTGRESQL"}';
    $DB['SERVER'] = '${database.server?.address ?? here}';
    $DB['PORT'] = '${database.server?.port ?? 0}';
    $DB['DATABASE'] = '${name}';
    $DB['USER'] = 'zabbix';
    $DB['PASSWORD'] = ${password};
    $DB['SCHEMA'] = '';
    $DB['ENCRYPTION'] = false;
    $ZBX_SERVER = '${server?.address ?? "127.0.0.1"}';
    $ZBX_SERVER_PORT = '${server?.port ?? 10051}';
    $ZBX_SERVER_NAME = '${title.replace(/[\\']/g, "\\$&")}';
    $IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
  `;
}
