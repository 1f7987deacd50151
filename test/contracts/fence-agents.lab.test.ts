/** Real agents and real BMCs, beyond the contract: what can be told apart, and who ends an agent that never ends. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { fenceDeviceId, hostId } from '../../domain/ids';
import { checkAgentOptions, createFenceAgents } from '../../drivers/fence-agents';
import type { VmedicConfig } from '../../workers/config';
import { type DriverLab, openDriverLab } from '../support/driver-lab';
import { describeOnRealHosts } from '../support/real-hosts';
import { eventually, faultCode, notAborted, within } from './contract';

const host = hostId('hv-a');
const device = { id: fenceDeviceId('hv-a-redfish'), agent: 'fence_redfish' };

describeOnRealHosts('fence agents on real BMCs', () => {
  let world: DriverLab;
  beforeAll(async () => {
    world = await openDriverLab(1);
  }, 120_000);
  beforeEach(() => world.reset());
  afterAll(() => world.close());

  const redfish = (more = {}) => {
    const bmc = world.lab.bmc(host).redfish;
    const { address: ip, port: ipport, username, systemsUri: systems_uri } = bmc;
    const options = { ip, ipport, username, systems_uri, ssl_insecure: true, ...more };
    const password = () => readFileSync(bmc.passwordFile, 'utf8').trim();
    const deadlines = { statusMs: 3_000, offMs: 3_000 };
    return createFenceAgents({
      gateway: world.gateway,
      devices: [{ ...device, options, password }],
      deadlines,
    });
  };

  it('ends the agent of a frozen BMC at our deadline, for it has none of its own', async () => {
    await world.lab.setBmcFaults(host, 'redfish', [{ kind: 'frozen' }]);
    const port = redfish();
    const status = port.status(host, device, notAborted());
    await within(15_000, status);
    expect(await faultCode(status)).toBe('FENCE_DEVICE_SILENT');
    expect(await faultCode(port.off(host, device, notAborted()))).toBe('FENCE_OUTCOME_UNKNOWN');
    const mine = (): string =>
      execFileSync('ps', ['--ppid', String(world.gateway.pid), '-o', 'args='], { encoding: 'utf8' });
    await eventually(5_000, () =>
      Promise.resolve()
        .then(mine)
        .then(
          (running) => !running.includes('fence_redfish'),
          // ps ends with 1 when the gateway has no child at all.
          () => true,
        ),
    );
  }, 60_000);

  it('waits for a slow BMC', async () => {
    await world.lab.setBmcFaults(host, 'redfish', [{ kind: 'slow', seconds: 1 }]);
    expect((await redfish().status(host, device, notAborted())).power).toBe('on');
  });

  it('does not take a wrong system for a refused login', async () => {
    const port = redfish({ systems_uri: '/redfish/v1/Systems/other' });
    expect(await faultCode(port.status(host, device, notAborted()))).toBe('FENCE_DEVICE_SILENT');
  });

  it('the sample config gives each agent what it asks for', async () => {
    const sample = parse(readFileSync(join(__dirname, '../../deploy/vmedic.yaml'), 'utf8')) as VmedicConfig;
    const devices = sample.clusters
      .flatMap((c) => c.hosts)
      .flatMap((h) => (h.fencing ?? []).flatMap((l) => l.devices));
    expect(devices.map((d) => d.agent).sort()).toEqual(['fence_ipmilan', 'fence_redfish']);
    for (const { agent, options } of devices)
      expect(await checkAgentOptions(agent, { ...options, password: 'given by reference' })).toEqual([]);
  });

  it('finds the options of real agents good or not by their own metadata', async () => {
    const ipmi = { ip: 'bmc', username: 'u', password: 'x', lanplus: true, cipher: '3', power_wait: 0 };
    expect(await checkAgentOptions('fence_ipmilan', ipmi)).toEqual([]);
    expect(await checkAgentOptions('fence_ipmilan', { ...ipmi, lanplsu: true })).toEqual([
      'fence_ipmilan has no option lanplsu (did you mean lanplus?)',
    ]);
    expect(await checkAgentOptions('fence_redfish', { ip: 'bmc', username: 'u' })).toEqual([
      'fence_redfish needs the option systems_uri',
    ]);
    expect(await checkAgentOptions('fence_kdump', {})).toContain(
      'fence_kdump has no "status": it can never prove that a host is off',
    );
  });
});
