// `testTimeout` of a project is ignored by jest (30.5): only the one of the whole run counts.
jest.setTimeout((globalThis as unknown as { testTimeoutMs: number }).testTimeoutMs);
