import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { LabVcenter, vcenterConfig } from '../../lab/vsphere/lab-vcenter';
import { openVsphere } from '../../workers/compose-vsphere';
import { checkConfig, fleetOf, problemText } from '../../workers/config';
import { describeOnVcenter } from '../support/vcenter';
import { notAborted } from './contract';

describeOnVcenter("a lab's vCenter", () => {
  const folder = mkdtempSync(join(tmpdir(), 'vmedic-lab-'));
  const options = { hosts: 2, vms: 3, progress: () => undefined };
  afterAll(async () => {
    await new LabVcenter(folder).stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('outlives its starter, is found by others, and its config shows its VMs where they run', async () => {
    const facts = await new LabVcenter(folder).start(options);
    expect(await new LabVcenter(folder).start(options)).toEqual(facts);
    const { vcenters, cluster, pools } = vcenterConfig(facts);
    const text = stringify({ version: 1, vcenters, pools, clusters: [cluster] });
    const path = join(folder, 'vmedic.yaml');
    const checked = await checkConfig(text, path, { depth: 'machine' });
    if (!checked.ok) throw new Error(checked.problems.map(problemText).join('\n'));
    const vsphere = openVsphere(checked.config, path, fleetOf(checked.config));
    if (vsphere === undefined) throw new Error('the config names no ESXi host');
    const hosts = fleetOf(checked.config).clusters.flatMap((c) => c.hosts);
    const lists = await Promise.all(hosts.map((h) => vsphere.hypervisor.list(h.id, notAborted())));
    const seen = lists.flatMap((l) => l.vms);
    expect(seen.map((v) => v.name).sort()).toEqual([...facts.vms].sort());
    expect(seen.map((v) => v.state)).toEqual(['running', 'running', 'running']);
    await vsphere.close();
  });

  it('is gone once it was stopped, and begins anew under the same password', async () => {
    const vcenter = new LabVcenter(folder);
    const before = await vcenter.start(options);
    await vcenter.stop();
    expect(vcenter.running).toBe(false);
    await vcenter.stop();
    await expect(fetch(`${before.controlUrl}/state`)).rejects.toThrow('fetch failed');
    const after = await vcenter.start(options);
    expect(after.passwordFile).toBe(before.passwordFile);
    expect(after.url).not.toBe(before.url);
    expect(existsSync(after.passwordFile)).toBe(true);
  });
});
