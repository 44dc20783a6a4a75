// node --import …/register.ts --test FILE: lets a test find `mesoforge` wherever it lies.
import { resolveOwnName } from "../build/load-program.ts";

resolveOwnName();
