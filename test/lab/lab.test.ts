import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type LabFenceLevel, labConfig } from '../../lab/config';
import { type Lab, createLab, openLab } from '../../lab/lab';
import { removeLab } from '../../lab/remove';
import { run } from '../../lab/run';
import { describeOnRealHosts } from '../support/real-hosts';
import { labUp, newLabFolder, processesOf } from './real-lab';

describeOnRealHosts('a lab that is up', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await labUp({ hosts: 3, vms: 4, transient: 1 });
  }, 120_000);
  afterAll(() => lab.down());

  const ipmitool = (host: string, ...command: string[]) => {
    const { address, port, username, passwordFile } = lab.bmc(host).ipmi;
    const to = [
      '-I',
      'lanplus',
      '-C',
      '3',
      '-H',
      address,
      '-p',
      String(port),
      '-U',
      username,
      '-f',
      passwordFile,
    ];
    return run('ipmitool', [...to, 'chassis', 'power', ...command], { timeoutMs: 30_000 });
  };

  it('shows each VM where it runs, and nothing twice', async () => {
    const { hosts } = await lab.status();
    expect(hosts.map(({ id, power, vms }) => ({ id, power, vms }))).toEqual([
      { id: 'hv-a', power: 'on', vms: ['vm-01', 'vm-04'] },
      { id: 'hv-b', power: 'on', vms: ['vm-02'] },
      { id: 'hv-c', power: 'on', vms: ['vm-03'] },
    ]);
  });

  it('gives each host a boot id of its own where every program looks, new at every power-on', async () => {
    const first = await Promise.all(lab.hosts.map((host) => host.bootId()));
    const machine = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    expect(new Set([...first, machine]).size).toBe(4);
    const host = lab.host('hv-c');
    await host.powerOff();
    await host.powerOn();
    expect(await host.bootId()).not.toBe(first[2]);
    await lab.vm('vm-03').start();
  });

  it('is cut by its BMC, after which its VM starts elsewhere and every disk is clean', async () => {
    expect(await ipmitool('hv-a', 'status')).toMatchObject({ code: 0, stdout: 'Chassis Power is on\n' });
    expect(await ipmitool('hv-a', 'off')).toMatchObject({ code: 0 });
    expect(await lab.host('hv-a').state()).toBe('off');
    expect(processesOf(join(lab.folder, 'hv-a')).filter((p) => /qemu|libvirtd/.test(p))).toEqual([]);
    const vm = lab.vm('vm-01');
    const printed = vm.printed().length;
    await vm.define(lab.host('hv-b'));
    await vm.start(lab.host('hv-b'));
    await vm.beatsBeyond(printed);
    for (const { verdict } of await lab.judgeDisks()) expect(verdict).toMatchObject({ verdict: 'CLEAN' });
    expect(await ipmitool('hv-a', 'on')).toMatchObject({ code: 0 });
    await lab.host('hv-a').powerOn();
    expect(await vm.state(lab.host('hv-a'))).toBe('shut off');
  });

  it('says of a host without power what ssh would, and nothing at all while it is frozen', async () => {
    const host = lab.host('hv-c');
    const [door, ...args] = host.enter as [string, ...string[]];
    const enter = (timeoutMs: number) => run(door, [...args, 'hostname'], { timeoutMs });
    expect(await enter(5_000)).toMatchObject({ code: 0, stdout: 'hv-c\n' });
    await host.freeze();
    expect(await host.state()).toBe('frozen');
    expect(await enter(500)).toMatchObject({ timedOut: true, stdout: '' });
    const vm = lab.vm('vm-03');
    const printed = vm.printed().length;
    expect((await host.virsh(['uri'], 500)).timedOut).toBe(true);
    expect(vm.printed().length).toBe(printed);
    await host.thaw();
    await vm.beatsBeyond(printed);
    await host.powerOff();
    expect(await enter(5_000)).toMatchObject({
      code: 255,
      stderr: expect.stringContaining('No route to host') as string,
    });
    expect((await host.virsh(['uri'], 5_000)).stderr).not.toContain('Connection refused');
    await host.powerOn();
    await vm.start();
  });

  it('keeps its guests when libvirtd alone is killed, and finds them again', async () => {
    const host = lab.host('hv-b');
    await host.killLibvirtd();
    expect((await host.virsh(['uri'], 5_000)).stderr).toContain('Connection refused');
    await lab.vm('vm-02').beats(2);
    await host.startLibvirtd();
    expect(await host.runningVms()).toContain('vm-02');
  });

  it('forgets a transient VM that stops, and starts it again from its definition', async () => {
    const vm = lab.vm('vm-04');
    const host = lab.host('hv-b');
    expect(await vm.state(lab.host('hv-a'))).toBe('absent');
    await vm.start(host);
    await vm.beats();
    await vm.destroy(host);
    expect(await vm.state(host)).toBe('absent');
  });

  it.each(['ipmi', 'redfish'] as const)('has a %s BMC that can lie, and be whole again', async (kind) => {
    const host = lab.host('hv-c');
    const level = kind === 'ipmi' ? 0 : 1;
    const { agent, options, password } = fenceDevice('hv-c', level);
    const fence = (action: string) =>
      runAgent(agent, {
        ...options,
        power_timeout: 2,
        password: readFileSync(password.slice(5), 'utf8').trim(),
        action,
      });
    await lab.setBmcFaults('hv-c', kind, [{ kind: 'lying' }]);
    expect(await fence('off')).toBe(1);
    await lab.setBmcFaults('hv-c', kind, [{ kind: 'power-reads', power: 'off' }, { kind: 'lying' }]);
    expect(await fence('status')).toBe(2);
    expect(await host.state()).toBe('on');
    await lab.setBmcFaults('hv-c', kind, [{ kind: 'refuse-login' }]);
    expect(await fence('status')).toBe(1);
    await lab.setBmcFaults('hv-c', kind, []);
    expect(await fence('status')).toBe(0);
  });

  it('is opened by its folder alone, and brings back up what is not, starting nothing twice', async () => {
    await lab.host('hv-a').powerOff();
    const again = openLab(lab.folder);
    await again.up();
    const running = (await again.status()).hosts.flatMap(({ vms }) => vms ?? ['?']);
    expect([...running].sort()).toEqual(['vm-01', 'vm-02', 'vm-03', 'vm-04']);
    for (const { verdict } of await again.judgeDisks()) expect(verdict).toMatchObject({ verdict: 'CLEAN' });
  });

  it('is not made a second time in the same folder', async () => {
    await expect(createLab({ folder: lab.folder })).rejects.toThrow('a lab is already in');
  });

  it('keeps its passwords to its own user', () => {
    for (const kind of ['ipmi', 'redfish'] as const)
      expect(statSync(lab.bmc('hv-a')[kind].passwordFile).mode & 0o777).toBe(0o600);
  });

  function fenceDevice(host: string, level: number): FenceDevice {
    const found = labConfig(lab).clusters[0]?.hosts.find(({ id }) => id === host)?.fencing[level]?.devices[0];
    if (found === undefined) throw new Error(`no device at level ${level} of ${host}`);
    return found;
  }
});

type FenceDevice = LabFenceLevel['devices'][number];

async function runAgent(agent: string, options: Readonly<Record<string, unknown>>): Promise<number | null> {
  const child = spawn(`/usr/sbin/${agent}`, { stdio: ['pipe', 'ignore', 'ignore'] });
  child.stdin.end(
    Object.entries(options)
      .map(([key, value]) => `${key}=${String(value)}\n`)
      .join(''),
  );
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

describeOnRealHosts('down', () => {
  let folder = '';
  let creator: ChildProcess | undefined;
  beforeEach(() => (folder = newLabFolder()));
  afterEach(async () => {
    creator?.kill('SIGKILL');
    await removeLab(folder);
  });

  /** Starts a creator and kills it when it has said what was waited for. */
  async function killedAt(moment: RegExp): Promise<void> {
    const compiler = join(__dirname, '../support/typescript-child.cjs');
    const child = spawn(process.execPath, ['-r', compiler, join(__dirname, 'creator.ts'), folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    creator = child;
    const exited = once(child, 'exit');
    for await (const line of createInterface({ input: child.stdout })) if (moment.test(line)) break;
    child.kill('SIGKILL');
    expect(await exited).toEqual([null, 'SIGKILL']);
  }

  it.each([
    ['its disks are made', /making a lab/],
    ['its hosts and BMCs come up', /starting 2 hosts/],
    ['its VMs start', /beats on/],
    ['it is up', /the lab is up/],
  ])('leaves nothing behind when the creator was killed while %s', async (_when, moment) => {
    await killedAt(moment);
    await removeLab(folder);
    expect(processesOf(folder)).toEqual([]);
    expect(existsSync(folder)).toBe(false);
    expect(await removeLab(folder)).toBe(false);
  });

  it('finishes what a killed down began, and lets nothing come up behind it', async () => {
    const lab = await labUp({ folder, hosts: 1, vms: 1 });
    const host = lab.host('hv-a');
    await host.powerOff();
    writeFileSync(join(folder, 'down'), '');
    await expect(host.powerOn()).rejects.toThrow('being taken down');
    await expect(createLab({ folder })).rejects.toThrow('half taken down');
    await removeLab(folder);
    expect(processesOf(folder)).toEqual([]);
    expect(existsSync(folder)).toBe(false);
  });

  it('ends frozen hosts and silent BMCs too', async () => {
    const lab = await labUp({ folder, hosts: 1, vms: 1 });
    await lab.host('hv-a').freeze();
    await lab.setBmcFaults('hv-a', 'redfish', [{ kind: 'silent' }]);
    await lab.setBmcFaults('hv-a', 'ipmi', [{ kind: 'silent' }]);
    expect(processesOf(folder).length).toBeGreaterThan(4);
    await lab.down();
    expect(processesOf(folder)).toEqual([]);
    expect(existsSync(folder)).toBe(false);
  });

  it('leaves what it did not make', async () => {
    const lab = await createLab({ folder, hosts: 1, vms: 0 });
    writeFileSync(join(folder, 'mine'), 'precious');
    await lab.down();
    expect(readFileSync(join(folder, 'mine'), 'utf8')).toBe('precious');
    await expect(createLab({ folder })).rejects.toThrow('holds mine and no lab');
    await run('rm', ['-r', folder], { timeoutMs: 5_000 });
  });
});
