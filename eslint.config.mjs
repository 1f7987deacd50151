import js from '@eslint/js';
import jest from 'eslint-plugin-jest';
import globals from 'globals';
import tseslint from 'typescript-eslint';

/** A workflow must replay the same for ever: what differs from run to run, or from release to release, stays out of it. */
const BUILT_INS = [
  'node:*',
  'assert',
  'child_process',
  'crypto',
  'events',
  'fs',
  'fs/*',
  'http',
  'https',
  'net',
  'os',
  'path',
  'process',
  'stream',
  'timers',
  'timers/*',
  'url',
  'util',
  'worker_threads',
];
const noBuiltIns = { group: BUILT_INS, message: 'Node built-ins are not deterministic and do not bundle.' };
const noZod = {
  group: ['zod', 'zod/*'],
  message: 'Parse at the edges: an upgrade of zod could change a replay.',
};
const noDrivers = {
  group: ['**/drivers/*', '**/workers/*', '**/lab/*', 'pg', 'drizzle-orm', 'drizzle-orm/*'],
  message: 'Only workers/ composes drivers.',
};

const TYPESCRIPT = ['**/*.ts'];
const SOURCES = ['domain', 'workflows', 'activities', 'drivers', 'workers', 'client', 'lab', 'bench'].map(
  (folder) => `${folder}/**/*.ts`,
);

export default tseslint.config(
  {
    ignores: [
      'dist/',
      'node_modules/',
      'docs/decisions/evidence/',
      'test/unit/imports-fixture/',
      'drivers/postgres/migrations/',
    ],
  },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: TYPESCRIPT,
    extends: [...tseslint.configs.strictTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // A promise that nobody awaits is an act that nobody reads back.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // An environment variable that is set but empty counts as not set.
      '@typescript-eslint/prefer-nullish-coalescing': [
        'error',
        { ignorePrimitives: { string: true }, ignoreTernaryTests: true },
      ],
      // `!` is forbidden, so a cast has to say what cannot be missing.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // `process.env['NAME']` is how noPropertyAccessFromIndexSignature wants it; both forms are clear.
      '@typescript-eslint/dot-notation': 'off',
      // Records over a closed union read better as loops over their keys.
      '@typescript-eslint/no-dynamic-delete': 'off',
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/array-type': ['error', { default: 'array', readonly: 'array' }],
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'A const object and a type: enums do not erase.' },
        { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
        { selector: 'ExportAllDeclaration', message: 'Say what is exported.' },
      ],
      'no-restricted-imports': [
        'error',
        { patterns: [{ group: ['**/test/*'], message: 'Nobody imports tests.' }] },
      ],
      // `!= null` asks for null and undefined at once.
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
  {
    files: ['workflows/**/*.ts', 'domain/**/*.ts'],
    rules: {
      'no-restricted-imports': ['error', { patterns: [noBuiltIns, noZod, noDrivers] }],
      'no-restricted-globals': [
        'error',
        'process',
        'Buffer',
        'fetch',
        'setInterval',
        'setImmediate',
        'queueMicrotask',
        'structuredClone',
        'crypto',
        'require',
        '__dirname',
      ],
    },
  },
  {
    files: SOURCES,
    rules: {
      // Results go to stdout through the CLI's printers, everything else to the log.
      'no-console': 'error',
      // Long enough for a factory that closes over its ports; a function that acts stays far below.
      'max-lines-per-function': ['error', { max: 110, skipComments: true, skipBlankLines: true }],
    },
  },
  {
    files: ['test/**/*.ts'],
    extends: [jest.configs['flat/recommended']],
    rules: {
      'no-restricted-imports': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/unbound-method': 'off',
      // jest's `expect.any()` and its kin are `any`.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/require-await': 'off',
      'jest/expect-expect': [
        'error',
        {
          assertFunctionNames: [
            'expect',
            'expect*',
            'assert*',
            'judge*',
            'run*',
            '**.run',
            'loses*',
            'fc.assert',
          ],
        },
      ],
      'jest/no-export': 'off',
      'jest/no-standalone-expect': 'off',
      // A table of cases may expect different things of different rows.
      'jest/no-conditional-expect': 'off',
      'jest/no-disabled-tests': 'error',
      'jest/no-focused-tests': 'error',
      'jest/valid-title': [
        'error',
        { mustNotMatch: { it: ['\\bshould\\b', 'A name states the rule, without "should".'] } },
      ],
    },
  },
  {
    // The one place where a test may be left out, with its reason.
    files: ['test/support/optional.ts'],
    rules: Object.fromEntries(
      ['no-disabled-tests', 'expect-expect', 'valid-title', 'valid-describe-callback'].map((rule) => [
        `jest/${rule}`,
        'off',
      ]),
    ),
  },
  { files: ['test/setup/*.js'], languageOptions: { globals: globals.jest } },
  {
    files: ['**/*.js', '**/*.cjs', '**/*.mjs', 'bin/vmedic'],
    languageOptions: { globals: globals.node },
  },
);
