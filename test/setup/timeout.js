'use strict';
// jest takes `testTimeout` from the whole run's configuration only, so each project hands its own through a global.
jest.setTimeout(globalThis.vmedicTestTimeoutMs);
