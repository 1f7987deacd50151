/** What a fence agent is given, and what of it comes back: with an agent of our own that writes down how it was called. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFenceAgents, type FenceAgents } from '../../drivers/fence-agents';
import type { ChildGateway } from '../../drivers/child-processes';
import { fenceDeviceId, hostId } from '../../domain/ids';
import { testGateway } from '../support/driver-lab';
import { faultCode, notAborted } from './contract';

const folder = mkdtempSync(join(tmpdir(), 'agents-'));
const file = (name: string): string => join(folder, name);
const host = hostId('h');
let gateway: ChildGateway;
let count = 0;

beforeAll(() => {
  gateway = testGateway();
});
afterAll(async () => {
  await gateway.close();
  rmSync(folder, { recursive: true });
});

const metadata = `<resource-agent name="x"><parameters>
<parameter name="ip" required="1"><content type="string"/></parameter>
<parameter name="password" required="0"><content type="string"/></parameter>
<parameter name="ssl_insecure" required="0"><content type="boolean"/></parameter>
<parameter name="ssl" required="0"><content type="boolean" default="1"/></parameter>
<parameter name="verbose" required="0"><content type="boolean"/></parameter>
</parameters><actions><action name="status"/><action name="off"/></actions></resource-agent>`;

/** `answer` runs with the action in $action and all of the input in $input. */
function agent(
  answer: string,
  password: () => string,
  options = {},
): { port: FenceAgents; device: ReturnType<typeof deviceOf> } {
  const path = file(`agent-${(count += 1)}`);
  writeFileSync(
    path,
    `#!/bin/sh
if [ "$1" = -o ]; then cat <<'END'
${metadata}
END
exit 0; fi
echo "$@" >>'${file('argv')}'
tr '\\0' ' ' </proc/$$/environ >'${file('environ')}'
input=$(cat)
printf '%s\\n' "$input" >'${file('stdin')}'
action=$(printf '%s\\n' "$input" | sed -n 's/^action=//p')
${answer}
`,
    { mode: 0o755 },
  );
  const device = deviceOf(path);
  const deadlines = { statusMs: 1_500, offMs: 1_500 };
  const devices = [{ ...device, options: { ip: 'bmc', ...options }, password }];
  return { port: createFenceAgents({ gateway, devices, deadlines }), device };
}
const deviceOf = (path: string) => ({ id: fenceDeviceId(`d-${count}`), agent: path });

it('gives the password on standard input only, whole, and read anew for each call', async () => {
  let password = ' "it\'s $secret" ';
  const { port, device } = agent('echo "Status: ON"', () => password, { ssl_insecure: false, ssl: false });
  expect((await port.status(host, device, notAborted())).power).toBe('on');
  expect(readFileSync(file('argv'), 'utf8')).toBe('\n');
  expect(readFileSync(file('environ'), 'utf8')).not.toContain('secret');
  expect(readFileSync(file('environ'), 'utf8')).toContain('PYTHONWARNINGS=ignore');
  const lines = readFileSync(file('stdin'), 'utf8').trim().split('\n');
  // A switch that is off already is left out: naming it would switch it on. One that is on by default has to be named.
  expect(lines).toEqual(['ip=bmc', 'ssl=0', `password="${password}"`, 'verbose=1', 'action=status']);
  password = 'corrected';
  await port.status(host, device, notAborted());
  expect(readFileSync(file('stdin'), 'utf8')).toContain('password=corrected\n');
});

it('lets no password out in an error', async () => {
  const { port, device } = agent('printf "ERROR: sent %s\\n" "$input" >&2; exit 1', () => 'hunter2');
  const error: unknown = await port.status(host, device, notAborted()).catch((e: unknown) => e);
  expect(JSON.stringify(error)).not.toContain('hunter2');
  expect(String(error)).not.toContain('hunter2');
});

it('does not ask a device whose password cannot be read', async () => {
  writeFileSync(file('argv'), '');
  const { port, device } = agent('echo "Status: OFF"; exit 2', () => {
    throw new Error('file:/x: there is no such file');
  });
  expect(await faultCode(port.status(host, device, notAborted()))).toBe('FENCE_DEVICE_SILENT');
  expect(readFileSync(file('argv'), 'utf8')).toBe('');
});

it('takes exit code 2 for off with the word, and for nothing without it', async () => {
  const off = agent('echo "Status: OFF"; exit 2', () => 'p');
  expect((await off.port.status(host, off.device, notAborted())).power).toBe('off');
  const broken = agent('echo "cannot open agent" >&2; exit 2', () => 'p');
  expect(await faultCode(broken.port.status(host, broken.device, notAborted()))).toBe('FENCE_DEVICE_SILENT');
});

describe('an "off"', () => {
  const off = ({ port, device }: ReturnType<typeof agent>) => port.off(host, device, notAborted());

  it('that was answered is done', async () => {
    await expect(off(agent('echo Success', () => 'p'))).resolves.toBeUndefined();
  });

  it('that failed after it worked is done: the reading decides', async () => {
    const late = '[ "$action" = off ] && exit 1; echo "Status: OFF"; exit 2';
    await expect(off(agent(late, () => 'p'))).resolves.toBeUndefined();
  });

  it.each([
    ['not taken', '[ "$action" = off ] && exit 1; echo "Status: ON"', 'FENCE_OFF_NOT_TAKEN'],
    ['of unknown outcome when nobody can read after it', 'exit 1', 'FENCE_OUTCOME_UNKNOWN'],
    ['of unknown outcome when its agent hangs', 'sleep 60', 'FENCE_OUTCOME_UNKNOWN'],
    ['refused with the login', 'echo "ERROR: Login incorrect" >&2; exit 1', 'FENCE_LOGIN_REFUSED'],
  ])('is %s', async (_, answer, code) => {
    expect(await faultCode(off(agent(answer, () => 'p')))).toBe(code);
  });

  it('spends one login on a device that refuses it, not two', async () => {
    writeFileSync(file('argv'), '');
    await faultCode(off(agent('echo "ERROR: Login incorrect" >&2; exit 1', () => 'p')));
    expect(readFileSync(file('argv'), 'utf8')).toBe('\n');
  });

  it('to an agent that is not installed was not sent', async () => {
    const device = { id: fenceDeviceId('none'), agent: 'fence_no_such' };
    const port = createFenceAgents({ gateway, devices: [{ ...device, options: {} }] });
    expect(await faultCode(port.off(host, device, notAborted()))).toBe('FENCE_DEVICE_SILENT');
  });
});
