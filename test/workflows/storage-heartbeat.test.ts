/** Hosts that write to a shared pool while the network shows them dead: held, and never fenced for it. A heartbeat that stops kills nobody. */
import type { IncidentRecord } from '../../domain/records';
import { judge } from '../support/judge';
import type { RecoverySystem, SystemOptions } from '../support/recovery-system';
import { actsOn, eventually, systems } from '../support/story';

const begin = systems();

/** Every host has been asked to write its heartbeat. */
async function beating(options: SystemOptions = {}): Promise<RecoverySystem> {
  const system = await begin({ heartbeat: true, ...options });
  await system.watch();
  const asked = (): number =>
    new Set(
      system.controls
        .journal()
        .flatMap((e) =>
          e.kind === 'answer' && e.port === 'heartbeats' && e.call === 'keep' ? [e.target] : [],
        ),
    ).size;
  await eventually('all hosts to write', () => asked() === system.spec.hosts.length);
  return system;
}

const incidentThat = (system: RecoverySystem, is: (i: IncidentRecord) => boolean): Promise<IncidentRecord> =>
  eventually('the incident', async () => (await system.inventory.incidents()).find(is));

it('holds the incident of a host that nobody reaches and that still writes, and fences nothing', async () => {
  const system = await beating();
  const a = system.host('a');
  system.controls.setNetwork(a, 'cut');
  const held = await incidentThat(system, (i) => i.phase === 'held');
  expect(held.summary).toContain('sees it write its heartbeat');
  expect(actsOn(system)).toEqual([]);
  system.controls.setNetwork(a, 'up');
  expect(await incidentThat(system, (i) => i.closedAt !== undefined)).toMatchObject({ outcome: 'dismissed' });
  await judge(system);
});

it('believes a host that writes more than a BMC that reads off', async () => {
  const system = await beating();
  const a = system.host('a');
  system.controls.addRule({
    ...{ id: 'lying-bmc', port: 'fencing', call: 'status', target: a },
    then: { kind: 'lie', answer: { power: 'off' } },
  });
  system.controls.setNetwork(a, 'cut');
  await incidentThat(system, (i) => i.phase === 'held');
  expect(actsOn(system)).toEqual([]);
});

it('recovers a host without power as ever, whose heartbeat stands still', async () => {
  const system = await beating();
  system.controls.cutPower(system.host('a'));
  expect(await incidentThat(system, (i) => i.closedAt !== undefined)).toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('is as without heartbeats while they can be neither asked for nor seen', async () => {
  const system = await begin({ heartbeat: true });
  system.controls.addRule({
    ...{ id: 'no-pool', port: 'heartbeats', call: 'keep' },
    then: {
      kind: 'fail-before',
      fault: { code: 'HOST_COMMAND_FAILED', facts: { detail: 'the pool hangs' } },
    },
  });
  system.controls.addRule({
    ...{ id: 'no-look', port: 'heartbeats', call: 'look' },
    then: { kind: 'lie', answer: 'not-known' },
  });
  await system.watch();
  system.controls.cutPower(system.host('a'));
  expect(await incidentThat(system, (i) => i.closedAt !== undefined)).toMatchObject({ outcome: 'recovered' });
  await judge(system);
});
