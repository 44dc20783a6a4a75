// A complete machine for debugging: the template's richest variant, with a network of its own.
//
//   meso system vm examples/glicid/test001.ts

import { inherit } from "mesoforge";
import { staticNetworking } from "mesoforge/services";
import { oneDiskDebug, testNet } from "./template/v3.ts";

const customNet = staticNetworking({ eth0: { addresses: ["10.50.103.201/16"], ...testNet } });

export default inherit(oneDiskDebug, (os) => ({
  hostName: "test001",
  services: [...os.services, customNet],
}));
