'use strict';
const { join } = require('node:path');
const { tmpdir } = require('node:os');

// The checkout may belong to another user than the one the tests run as, so nothing is ever written into it.
const cache = process.env.VMEDIC_CACHE
  ? join(process.env.VMEDIC_CACHE, 'jest')
  : join(tmpdir(), `vmedic-jest-${process.getuid?.() ?? 0}`);

const SECOND = 1_000;

/** Each is runnable alone: `make test ONLY=unit`. `needs` names what is started once for the whole run. */
const projects = {
  unit: { timeout: 10 * SECOND },
  checkers: { timeout: 10 * SECOND },
  contracts: { needs: 'postgres', timeout: 60 * SECOND },
  workflows: { needs: 'everything', timeout: 60 * SECOND },
  api: { needs: 'everything', timeout: 60 * SECOND },
  saga: { needs: 'everything', timeout: 120 * SECOND },
  scenarios: { needs: 'everything', timeout: 120 * SECOND },
  simulation: { needs: 'everything', timeout: 1_800 * SECOND },
  replay: { needs: 'bundle', timeout: 60 * SECOND },
  lab: { needs: 'everything', timeout: 300 * SECOND },
};

/** @type {import('jest').Config} */
module.exports = {
  // 45 MB stay behind in a worker process for each test file that loads the Temporal SDK: it is renewed in time.
  maxWorkers: 2,
  workerIdleMemoryLimit: '1GB',
  reporters: ['default', '<rootDir>/test/reporter/totals.js'],
  projects: Object.entries(projects).map(([name, { needs, timeout }]) => ({
    displayName: name,
    rootDir: __dirname,
    testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
    testEnvironment: 'node',
    globals: { vmedicTestTimeoutMs: timeout },
    setupFilesAfterEnv: ['<rootDir>/test/setup/timeout.js'],
    transform: { '^.+\\.ts$': ['@swc/jest'] },
    modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/docs/'],
    cacheDirectory: cache,
    ...(needs && {
      globalSetup: `<rootDir>/test/setup/${needs}.ts`,
      globalTeardown: '<rootDir>/test/setup/teardown.ts',
    }),
  })),
};
