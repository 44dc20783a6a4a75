// A service of this centre's own: a web server that answers every request with one line.

import {
  checks,
  commandSucceeds,
  extend,
  portAnswers,
  profile,
  sbin,
  serviceType,
  systemdUnits,
  text,
  textFile,
  unit,
  unitActive,
} from "mesoforge";

export const greeter = serviceType<{ readonly greeting: string }>({
  name: "greeter",
  description: "A web server that answers every request with a greeting.",
  options: { greeting: "The line that is answered." },
  defaults: {},
  extensions: [
    extend(profile, () => ["nginx", "curl"]),
    extend(systemdUnits, ({ greeting }) => [
      unit({
        name: "greeter.service",
        text: text`
          [Unit]
          Description=Web server of the greeting
          After=network.target

          [Service]
          ExecStart=${sbin("nginx", "nginx")} -g "daemon off;" -c ${configuration(greeting)}
          ExecReload=/bin/kill -HUP $MAINPID

          [Install]
          WantedBy=multi-user.target
        `,
      }),
    ]),
    extend(checks, () => [
      unitActive("greeter.service"),
      portAnswers(80),
      commandSucceeds("/usr/bin/curl", "--fail", "--silent", "http://127.0.0.1/"),
    ]),
  ],
});

const configuration = (greeting: string) =>
  textFile(
    "greeter.conf",
    text`
      pid /run/greeter.pid;
      error_log stderr;
      events {}
      http {
        access_log off;
        server {
          listen 80 default_server;
          default_type text/plain;
          return 200 "${greeting}\n";
        }
      }
    `,
  );
