/** What is made of virsh's answers, with a virsh that answers as it is told: the cases that a healthy daemon cannot be brought to. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLibvirtHypervisor, type LibvirtHypervisor } from '../../drivers/libvirt';
import type { ChildGateway } from '../../drivers/child-processes';
import type { StartPermit } from '../../domain/evidence';
import { hostId, vmId } from '../../domain/ids';
import { testGateway } from '../support/driver-lab';
import { faultCode, notAborted } from './contract';
import { resumePermitFor } from './permits';

const host = hostId('h');
const id = '00000001-0000-4000-8000-000000000001';
const stats = "Domain: 'one'\n  state.state=1\n  state.reason=1\n";
const folder = mkdtempSync(join(tmpdir(), 'answers-'));
let gateway: ChildGateway;

beforeAll(() => {
  gateway = testGateway();
});
afterAll(async () => {
  await gateway.close();
  rmSync(folder, { recursive: true });
});

/** Prints the sections, each followed by the mark that was asked for; the last mark is left out when it is to end early. */
function virshSaying(
  sections: readonly string[],
  { errors = '', marks = sections.length } = {},
): LibvirtHypervisor {
  const program = join(folder, 'virsh');
  const out = sections.map((s, n) => `printf '%s' ${quote(s)}; ${n < marks ? 'printf %s "$mark"' : ':'}`);
  const lines = [
    '#!/bin/sh',
    'for last; do :; done',
    "mark=$(printf '%s' \"$last\" | grep -o '@@[0-9a-f]*@@' | head -n 1)",
    ...out,
    `printf '%s' ${quote(errors)} >&2`,
    `echo . >> ${join(folder, 'calls')}`,
  ];
  writeFileSync(program, lines.join('\n') + '\n', { mode: 0o755 });
  // None stays: the program is written anew for each case, which it may not be while it runs.
  const hosts = [{ id: host, uri: 'test:///x' }];
  return createLibvirtHypervisor({ gateway, hosts, virsh: program, stays: false });
}
const quote = (text: string): string => `'${text.replaceAll("'", `'"'"'`)}'`;

const now = new Date();
const startOrder = [
  { vmId: id, target: host, issuedAt: now.toISOString(), accounts: [] } as unknown as StartPermit,
  { vmId: vmId(id), version: 1, text: '<domain/>', readFrom: host, readAt: now.toISOString() },
  true,
  notAborted(),
] as const;

it('shows a VM that QEMU has stopped because its disk failed as paused on an I/O error', async () => {
  const stopped = "Domain: 'one'\n  state.state=3\n  state.reason=5\n";
  const port = virshSaying([stopped, `${id} one\n`, `${id}\n`, '', '']);
  expect((await port.list(host, notAborted())).vms).toMatchObject([{ state: 'paused', reason: 'I/O error' }]);
});

it('takes a complete answer for a list, an empty one too', async () => {
  const port = virshSaying([stats, `${id} one\n`, `${id}\n`, '', '']);
  expect((await port.list(host, notAborted())).vms).toEqual([
    {
      ...{ vmId: id, name: 'one', state: 'running', reason: 'booted', persistent: true },
      ...{ autostart: false, savedImage: false },
    },
  ]);
  expect((await virshSaying(['', '', '', '', '']).list(host, notAborted())).vms).toEqual([]);
});

it.each([
  ['a VM that stands in the statistics only', [stats, '', '', '', ''], {}],
  ['a VM that stands in the list only', ['', `${id} one\n`, '', '', ''], {}],
  ['an error beside complete output', [stats, `${id} one\n`, '', '', ''], { errors: 'error: cannot list' }],
])('refuses to take %s for a list', async (_, sections, options) => {
  expect(await faultCode(virshSaying(sections, options).list(host, notAborted()))).toBe('LIST_INCOMPLETE');
});

it.each([0, 1, 4])('never takes an answer that ended after %d of its parts for a list', async (marks) => {
  const port = virshSaying([stats, `${id} one\n`, `${id}\n`, '', ''], { marks });
  expect(await faultCode(port.list(host, notAborted()))).toBe('HYPERVISOR_UNREACHABLE');
});

it('never takes a broken connection for an empty host', async () => {
  const errors = 'error: Disconnected from qemu:///system due to end of file\n';
  const port = virshSaying(['', '', '', '', ''], { errors });
  expect(await faultCode(port.list(host, notAborted()))).toBe('HYPERVISOR_UNREACHABLE');
});

it('reads a host once for the list that a permit rests on and the start by it, and again for a permit by an older list', async () => {
  const said = join(folder, 'reads');
  writeFileSync(said, '');
  const port = virshSaying(['', '', '', '', '']);
  const program = join(folder, 'virsh');
  const counted = `#!/bin/sh\ncase "$*" in *domstats*) echo read >>${quote(said)};; esac\n`;
  writeFileSync(program, readFileSync(program, 'utf8').replace('#!/bin/sh\n', counted), { mode: 0o755 });
  const reads = (): number => readFileSync(said, 'utf8').split('\n').length - 1;
  const { observedAt } = await port.list(host, notAborted());
  const startBy = (readAt: string) => {
    const [permit, ...rest] = startOrder;
    const accounts = [{ hostId: host, by: 'own-list', observedAt: readAt }];
    return port.start({ ...permit, accounts } as StartPermit, ...rest);
  };
  await startBy(observedAt);
  expect(reads()).toBe(1);
  await startBy(new Date(Date.parse(observedAt) - 1).toISOString());
  expect(reads()).toBe(2);
});

it('takes a start for one that was never sent when the machine refuses to run virsh, and a list for none', async () => {
  const port = virshSaying(['', '', '', '', '']);
  const { observedAt } = await port.list(host, notAborted());
  const [permit, ...rest] = startOrder;
  const accounts = [{ hostId: host, by: 'own-list', observedAt }];
  const writer = openSync(join(folder, 'virsh'), 'r+');
  try {
    // No read comes before it: the start itself is what cannot be run.
    const outcome = await port.start({ ...permit, accounts } as StartPermit, ...rest);
    expect(outcome).toMatchObject({ kind: 'unreachable', fault: { code: 'HYPERVISOR_UNREACHABLE' } });
    expect('fault' in outcome && outcome.fault.sentence).toContain('ETXTBSY');
    expect(await faultCode(port.list(host, notAborted()))).toBe('HYPERVISOR_UNREACHABLE');
  } finally {
    closeSync(writer);
  }
  expect((await port.list(host, notAborted())).vms).toEqual([]);
});

it('does not take a start for refused while another job, perhaps an earlier start, holds the VM', async () => {
  // The list before the start must be clean, so that the words come with the start alone.
  const outcome = async (words: string) => {
    const program = join(folder, 'virsh');
    virshSaying(['', 'shut off (unknown)'], { errors: words });
    const answering = readFileSync(program, 'utf8');
    const port = virshSaying(['', '', '', '', '']);
    const listing = readFileSync(program, 'utf8').replace('#!/bin/sh\n', '');
    const both = `#!/bin/sh\ncase "$*" in *domstats*)\n${listing}exit;; esac\n${answering}`;
    writeFileSync(program, both, { mode: 0o755 });
    return (await port.start(...startOrder)).kind;
  };
  expect(
    await outcome(
      'error: Failed to start domain one\nerror: Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchDomainCreate)\n',
    ),
  ).toBe('unknown');
  // The control: a refusal of its own is one.
  expect(await outcome('error: Failed to start domain one\nerror: no space left\n')).toBe('refused');
});

it.each([
  ['ok', 'that was let go on, and whose next write failed at once', ''],
  ['refused', 'that was not let go on', 'error: Failed to resume domain one\nerror: internal error\n'],
])('calls it %s to resume a VM %s', async (kind, _, words) => {
  const program = join(folder, 'virsh');
  virshSaying(['', 'paused (I/O error)'], { errors: words });
  const answering = readFileSync(program, 'utf8');
  const paused = "Domain: 'one'\n  state.state=3\n  state.reason=5\n";
  const port = virshSaying([paused, `${id} one\n`, `${id}\n`, '', '']);
  const listing = readFileSync(program, 'utf8').replace('#!/bin/sh\n', '');
  const both = `#!/bin/sh\ncase "$*" in *domstats*)\n${listing}exit;; esac\n${answering}`;
  writeFileSync(program, both, { mode: 0o755 });
  expect((await port.resume(resumePermitFor(vmId(id), host), notAborted())).kind).toBe(kind);
});

it('does not call a host silent, refused or hung because virsh is missing here', async () => {
  const port = createLibvirtHypervisor({
    gateway,
    hosts: [{ id: host, uri: 'test:///x' }],
    virsh: join(folder, 'none'),
  });
  expect(await faultCode(port.probe(host, notAborted()))).toBe('LIST_INCOMPLETE');
  expect(await faultCode(port.list(host, notAborted()))).toBe('HYPERVISOR_UNREACHABLE');
});

it('knows its hosts by the config alone', async () => {
  const port = virshSaying(['', '', '', '', '']);
  expect(await faultCode(port.list(hostId('other'), notAborted()))).toBe('UNKNOWN_HOST');
});
