'use strict';
/**
 * Imports go one way only (docs/architecture.md, docs/decisions/): client -> workflows -> activities -> ports <- drivers, with domain
 * beneath all and workers above all. `test/unit/imports.test.ts` holds the tree to these rules, and each rule to a violation of it.
 */
const OURS = '^(domain|workflows|activities|drivers|workers|client|lab|bench|test)/';
const PORTS = '^activities/ports/';
const type = { dependencyTypesNot: ['type-only', 'type-import'] };
const eager = { dependencyTypesNot: ['type-only', 'type-import', 'dynamic-import'] };

/** @type {import('dependency-cruiser').IForbiddenRuleType[]} */
const forbidden = [
  {
    name: 'domain-imports-nothing',
    comment: 'domain/ is pure: it decides, and knows neither machines nor libraries',
    severity: 'error',
    from: { path: '^domain/' },
    to: { pathNot: '^domain/' },
  },
  {
    name: 'workflows-see-activities-as-types',
    comment: 'an activity imported as a value brings its drivers into the workflow bundle',
    severity: 'error',
    from: { path: '^workflows/' },
    to: { path: '^activities/', ...type },
  },
  {
    name: 'workflows-import-only-downwards',
    comment: 'a workflow knows what may be asked of activities, and who does it is not its matter',
    severity: 'error',
    from: { path: '^workflows/' },
    to: { path: OURS, pathNot: '^(domain|workflows|activities)/' },
  },
  {
    name: 'workflows-use-nothing-that-breaks-a-replay',
    comment: 'only the deterministic parts of the Temporal SDK, no other package and no built-in of Node',
    severity: 'error',
    from: { path: '^workflows/' },
    to: { pathNot: [OURS, '(^|node_modules/)@temporalio/(workflow|common)(/|$)'], ...type },
  },
  {
    name: 'activities-import-only-downwards',
    comment: 'activities speak to ports; which driver stands behind one is composed in workers/',
    severity: 'error',
    from: { path: '^activities/' },
    to: { path: OURS, pathNot: '^(domain|activities)/' },
  },
  {
    name: 'ports-import-only-domain',
    comment: 'a port is an interface: it must not know the activities that use it',
    severity: 'error',
    from: { path: PORTS },
    to: { pathNot: ['^domain/', PORTS] },
  },
  {
    name: 'drivers-see-only-ports-and-domain',
    comment: 'a driver fulfils a port and can be replaced by another that does',
    severity: 'error',
    from: { path: '^drivers/' },
    to: { path: OURS, pathNot: ['^(domain|drivers)/', PORTS] },
  },
  {
    name: 'drivers-do-not-share',
    comment:
      'one driver never imports another; child-processes and the lock strategy none are their shared floor',
    severity: 'error',
    from: { path: '^drivers/([^/]+)/' },
    to: { path: '^drivers/', pathNot: '^drivers/($1|child-processes|no-locks)/' },
  },
  {
    name: 'only-workers-import-drivers',
    comment: 'composition happens in one place',
    severity: 'error',
    from: { pathNot: '^(drivers|workers|test|bench)/' },
    to: { path: '^drivers/' },
  },
  {
    name: 'client-imports-only-downwards',
    comment: 'a client starts workflows and reads records; it runs nothing',
    severity: 'error',
    from: { path: '^client/', pathNot: '^client/cli/' },
    to: { path: '^(activities|workers|lab|bench)/', pathNot: PORTS },
  },
  {
    name: 'cli-loads-what-runs-only-when-asked',
    comment:
      'up, worker, server, setup, lab, demo, config and export may import workers/ and lab/, lazily: the others start without their weight',
    severity: 'error',
    from: { path: '^client/cli/' },
    to: { path: '^(workers|lab)/', ...eager },
  },
  {
    name: 'client-sees-ports-as-types',
    comment: 'the inventory is handed to a client, never made by it',
    severity: 'error',
    from: { path: '^client/' },
    to: { path: PORTS, ...type },
  },
  {
    name: 'workers-import-no-command-line-and-no-lab',
    comment: 'a production worker carries neither',
    severity: 'error',
    from: { path: '^workers/' },
    to: { path: '^(client/cli|lab|bench)/', ...type },
  },
  {
    name: 'lab-knows-nothing-of-recovery',
    comment: 'the lab judges VMedic, so it must not be made of it',
    severity: 'error',
    from: { path: '^lab/' },
    to: { path: '^(workflows|activities|drivers|client|bench)/' },
  },
  {
    name: 'nobody-imports-tests',
    comment: 'what ships must not need what does not',
    severity: 'error',
    from: { pathNot: '^test/' },
    to: { path: '^test/' },
  },
  {
    name: 'no-cycles',
    comment: 'two files that import each other are one file, or wrongly cut',
    severity: 'error',
    from: {},
    to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only', 'type-import'] } },
  },
];

module.exports = {
  forbidden,
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)dist/' },
  },
};
