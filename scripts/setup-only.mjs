// Installs what the tests need and does nothing else: lint and type check come before the tests in CI.
import { runtimePackages, setUp, testPackages } from "./setup.mjs";

setUp({ ...runtimePackages, ...testPackages });
