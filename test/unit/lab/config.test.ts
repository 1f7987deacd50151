import { stringify } from 'yaml';
import { labConfig } from '../../../lab/config';
import { Lab } from '../../../lab/lab';
import { checkConfig } from '../../../workers/config';

const host = (id: string, port: number) => ({ id, uuid: `u-${id}`, ipmiPort: port, redfishPort: port + 1 });
const manifest = {
  version: 1 as const,
  createdAt: '2026-11-21T00:00:00.000Z',
  hosts: [host('hv-a', 20_001), host('hv-b', 20_003)],
  vms: [],
};
const lab = new Lab('/tmp/l/lab', manifest, () => undefined);

describe('the config of a lab', () => {
  it("is accepted as an operator's own would be, without a warning", async () => {
    const checked = await checkConfig(stringify(labConfig(lab)), '/tmp/l/lab/vmedic.yaml', { depth: 'file' });
    expect(checked).toMatchObject({ ok: true, warnings: [] });
  });

  it('fences each host by a device that can cut this host only', () => {
    const devices = labConfig(lab).clusters.flatMap((cluster) =>
      cluster.hosts.map((h) => ({ id: h.id, devices: h.fencing.flatMap((level) => level.devices) })),
    );
    for (const { id, devices: own } of devices) {
      expect(own.map((device) => device.id)).toEqual([`${id}-ipmi`, `${id}-redfish`]);
      for (const device of own) expect(device.password).toContain(`/${id}/bmc/`);
    }
    const ports = devices.flatMap(({ devices: own }) => own.map((device) => device.options['ipport']));
    expect(new Set(ports).size).toBe(ports.length);
  });

  it('holds no password, only where it lies', () => {
    expect(JSON.stringify(labConfig(lab))).not.toMatch(/"password":"(?!file:)/);
  });
});
