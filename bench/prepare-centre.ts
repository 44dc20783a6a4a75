// Evaluates and prepares the synthetic centre, and ends: measured as a whole process by the benchmark of a centre.
import { enableCompileCache } from "node:module";

enableCompileCache();
const { prepareSystems } = await import("../src/build/build-systems.ts");
const { testSession } = await import("../src/test-support/test-session.ts");
const { syntheticCentre } = await import("./synthetic-centre.ts");
await prepareSystems(testSession(), syntheticCentre());
