import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { contractDrivers } from './drivers';
import { fencingContract } from './fencing.contract';
import { guestRepairContract } from './guest-repair.contract';
import { heartbeatsContract } from './heartbeats.contract';
import { hintsContract } from './hints.contract';
import { hostCommandsContract } from './host-commands.contract';
import { hypervisorContract } from './hypervisor.contract';
import { inventoryCases } from './inventory.contract';
import { type CasesByPort, contractMatrix, emptyCells, matrixText } from './matrix';
import { notifierContract } from './notifier.contract';
import { storageAccessContract } from './storage-access.contract';
import { storageLocksContract } from './storage-locks.contract';
import { volumeMovesContract } from './volume-moves.contract';
import { surveyContract } from './survey.contract';
import { volumesContract } from './volumes.contract';

const cases: CasesByPort = {
  fencing: fencingContract,
  hypervisor: hypervisorContract,
  hostCommands: hostCommandsContract,
  storageLocks: storageLocksContract,
  storageAccess: storageAccessContract,
  volumes: volumesContract,
  survey: surveyContract,
  hints: hintsContract,
  heartbeats: heartbeatsContract,
  guestRepair: guestRepairContract,
  volumeMoves: volumeMovesContract,
  notifier: notifierContract,
  inventory: inventoryCases,
};

const sources = readdirSync(__dirname)
  .filter((f) => f.endsWith('.test.ts') && f !== 'matrix.test.ts')
  .map((f) => readFileSync(join(__dirname, f), 'utf8'));

it('runs every suite on every driver of its port', () => {
  const cells = contractMatrix(contractDrivers, cases, sources);
  process.stderr.write(`\n${matrixText(cells)}\n\n`);
  expect(emptyCells(cells).map((c) => `${c.port} on ${c.driver}: ${c.why}`)).toEqual([]);
});

it('has a real driver beside the simulated one for every port that acts', () => {
  const acting = [
    'fencing',
    'hypervisor',
    'hostCommands',
    'storageLocks',
    'storageAccess',
    'volumes',
  ] as const;
  for (const port of acting) {
    const real = contractDrivers.filter((d) => d.port === port && !d.driver.startsWith('simulated'));
    expect(`${port}: ${real.length}`).not.toBe(`${port}: 0`);
  }
});

it('names every case of a port once', () => {
  for (const all of Object.values(cases)) {
    const names = all.map((c) => c.name);
    expect(names).toEqual([...new Set(names)]);
  }
});

describe('an empty cell', () => {
  const driver = { port: 'fencing', driver: 'other', lacks: {} } as const;

  it('is reported when no file runs the suite on the driver', () => {
    expect(emptyCells(contractMatrix([driver], cases, sources))).toMatchObject([{ driver: 'other' }]);
  });

  it('is none when a file does, however it is laid out', () => {
    const source = "runContract(\n  'fencing',\n  'other',\n  fencingContract, open)";
    expect(emptyCells(contractMatrix([driver], cases, [source]))).toEqual([]);
  });

  it('is reported when everything of the suite is left out', () => {
    const needy = { ...cases, fencing: [{ name: 'x', needs: 'silent-device' as const }] };
    const lacking = { ...driver, lacks: { 'silent-device': 'it cannot be silenced' } };
    const source = "runContract('fencing', 'other', fencingContract, open)";
    expect(emptyCells(contractMatrix([lacking], needy, [source]))).toHaveLength(1);
  });
});
