/** Looks at a user's own vCenter and changes nothing: everything that would stand in the way is found before it does. */
import { DriverFault } from '../../domain/faults';
import type { HostId, PoolId } from '../../domain/ids';
import { limits } from '../../domain/limits';
import { datastoresOf } from './datastores';
import { kernelAnswers } from './host-commands';
import { haCluster, viewOf } from './host-views';
import type { ServiceContent } from './session';
import { type Vcenter, Vcenters, type VsphereOptions } from './vcenter';
import { vmOf, vmProperties, type VimVm } from './virtual-machines';
import { child, children, leaf, type MoRef, reference, textAt } from './xml';

export interface VcenterFinding {
  readonly vcenter: string;
  readonly what: 'reach' | 'version' | 'clock' | 'rights' | 'host' | 'datastore' | 'vm';
  /** `blocks`: something that VMedic is for would be refused. */
  readonly severity: 'fine' | 'note' | 'blocks';
  readonly sentence: string;
  readonly next: string | undefined;
}

/** The pools that each host is declared with. */
export type HostPools = ReadonlyMap<HostId, readonly PoolId[]>;

const oldestVersion = [6, 7] as const;
const privileges = [
  'System.Read',
  'VirtualMachine.Inventory.Register',
  'VirtualMachine.Inventory.Unregister',
  'VirtualMachine.Interact.PowerOn',
  'VirtualMachine.Interact.AnswerQuestion',
  'Resource.AssignVMToPool',
  'Resource.ColdMigrate',
  'Resource.HotMigrate',
  'Datastore.Browse',
  'Datastore.AllocateSpace',
  'Datastore.FileManagement',
  'Host.Config.AutoStart',
] as const;

/** Never throws because of what a vCenter says or does not say: that is what it is for. */
export async function examineVcenters(
  options: VsphereOptions,
  pools: HostPools,
  signal: AbortSignal,
): Promise<VcenterFinding[]> {
  const vcenters = new Vcenters(options);
  try {
    const found = await Promise.all(
      vcenters.all.map((v) => new Examination(v, options, pools, signal).findings()),
    );
    return found.flat();
  } finally {
    await vcenters.close();
  }
}

class Examination {
  private readonly found: VcenterFinding[] = [];

  constructor(
    private readonly vcenter: Vcenter,
    private readonly options: VsphereOptions,
    private readonly pools: HostPools,
    private readonly signal: AbortSignal,
  ) {}

  async findings(): Promise<VcenterFinding[]> {
    const content = await this.part('reach', () => this.vcenter.expected(this.signal));
    if (content === undefined) return this.found;
    this.note(
      'reach',
      `it answers at ${this.vcenter.setup.url}, trusted ${this.trust()}; its id is ${content.instanceUuid}`,
    );
    this.version(content);
    await this.part('clock', () => this.clock());
    await this.part('rights', () => this.rights(content));
    for (const host of this.options.hosts.filter((h) => h.vcenter === this.vcenter.setup.id))
      await this.part('host', () => this.host(host.id, host.name));
    return this.found;
  }

  /** One part of the examination; what keeps it from being made is a finding of its own. */
  private async part<T>(what: VcenterFinding['what'], work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await this.vcenter.look(this.signal, work);
    } catch (error) {
      if (!(error instanceof DriverFault)) throw error;
      this.add(what, 'blocks', error.fault.sentence, error.fault.next);
      return undefined;
    }
  }

  private add(
    what: VcenterFinding['what'],
    severity: VcenterFinding['severity'],
    sentence: string,
    next?: string,
  ): void {
    this.found.push({ vcenter: this.vcenter.setup.id, what, severity, sentence, next });
  }

  private note(what: VcenterFinding['what'], sentence: string): void {
    this.add(what, 'fine', sentence);
  }

  private trust(): string {
    if (this.vcenter.setup.thumbprint !== undefined) return 'by its thumbprint';
    return this.vcenter.setup.ca === undefined
      ? "by this machine's authorities"
      : 'by the authority of the config';
  }

  private version({ apiType, apiVersion, name, build }: ServiceContent): void {
    if (apiType !== 'VirtualCenter')
      this.add(
        'version',
        'blocks',
        `${name} is no vCenter`,
        'name the vCenter that manages this host under vcenters',
      );
    const [major = 0, minor = 0] = apiVersion.split('.').map(Number);
    const [least, leastMinor] = oldestVersion;
    if (major < least || (major === least && minor < leastMinor))
      this.add(
        'version',
        'blocks',
        `its API is ${apiVersion}, and ${oldestVersion.join('.')} is the oldest that is known here`,
        'update vCenter',
      );
    else this.note('version', `${name}, build ${build}, API ${apiVersion}`);
  }

  private async clock(): Promise<void> {
    const asked = Date.now();
    const answer = await this.vcenter.session.read(
      'CurrentTime',
      { type: 'ServiceInstance', value: 'ServiceInstance' },
      [],
      { signal: this.signal },
    );
    const middle = (asked + Date.now()) / 2;
    const skewMs = Math.round(Date.parse(textAt(answer, 'returnval') ?? '') - middle);
    const sentence = `its clock is ${Math.abs(skewMs)} ms ${skewMs < 0 ? 'behind' : 'ahead'}`;
    if (Math.abs(skewMs) <= limits.clockSkewMsMax) this.note('clock', sentence);
    else
      this.add(
        'clock',
        'note',
        `${sentence}, more than ${limits.clockSkewMsMax} ms`,
        'give both machines the same time source',
      );
  }

  private async rights(content: ServiceContent): Promise<void> {
    const { session } = this.vcenter;
    const manager = content.ref('sessionManager');
    const current = (await session.retrieveOne(manager, ['currentSession'], { signal: this.signal })).get(
      'currentSession',
    );
    const answer = await session.read(
      'HasPrivilegeOnEntities',
      content.ref('authorizationManager'),
      [
        reference('entity', content.ref('rootFolder')),
        leaf('sessionId', textAt(current, 'key')),
        privileges.map((id) => leaf('privId', id)),
      ],
      { signal: this.signal },
    );
    const said = children(child(answer, 'returnval'), 'privAvailability');
    const granted = new Set(
      said.filter((p) => textAt(p, 'isGranted') === 'true').map((p) => textAt(p, 'privId')),
    );
    const missing = privileges.filter((id) => !granted.has(id));
    const { username } = this.vcenter.setup;
    if (missing.length === 0)
      this.note('rights', `${username} has every privilege that is needed, on the whole inventory`);
    else
      this.add(
        'rights',
        'blocks',
        `${username} lacks ${missing.join(', ')} on the root of the inventory`,
        'add them to its role, or see that it has them where its hosts and datastores are',
      );
  }

  private async host(id: HostId, name: string): Promise<void> {
    const view = await viewOf(this.vcenter, id, this.signal);
    if (view.link !== 'connected')
      this.add('host', 'blocks', `vCenter calls ${name} ${view.link}`, 'connect it, or see what ails it');
    else if (view.bootTime === undefined)
      this.add(
        'host',
        'note',
        `vCenter does not know when ${name} booted, so a reboot of it cannot be told`,
        'reconnect the host',
      );
    else this.note('host', `${name} is connected, booted ${view.bootTime}`);
    if (view.inMaintenance)
      this.add('host', 'note', `${name} is in maintenance`, 'take it out before it is to take VMs');
    const address = this.vcenter.addressOf(id);
    if (!(await kernelAnswers(address, 443, this.signal)))
      this.add(
        'host',
        'note',
        `${name} cannot be reached at ${address}:443 from here, so vCenter alone can say that it is silent`,
        'let this machine reach the management network, or give the host its address in the config',
      );
    const ha = await haCluster(this.vcenter, view.ref, this.signal);
    if (ha !== undefined)
      this.add(
        'host',
        'note',
        `vSphere HA is on for ${ha}: it restarts the VMs of ${name}, and VMedic only watches`,
        'leave it so; or switch vSphere HA off to have VMedic restart them',
      );
    await this.datastores(id, name, view.ref);
    await this.vms(name, view.ref);
  }

  private async datastores(id: HostId, name: string, ref: MoRef): Promise<void> {
    const mounted = await datastoresOf(this.vcenter.session, ref, { signal: this.signal });
    for (const pool of this.pools.get(id) ?? []) {
      const wanted = this.vcenter.datastoreOf(pool);
      const store = mounted.find((s) => s.name === wanted);
      const problem =
        wanted === undefined
          ? 'has no path /vmfs/volumes/DATASTORE in the config'
          : store === undefined
            ? `is the datastore ${wanted}, which ${name} does not mount; it mounts ${mounted.map((s) => s.name).join(', ')}`
            : !store.accessible
              ? `is not accessible on ${name}`
              : store.writable
                ? undefined
                : `is mounted read-only on ${name}`;
      if (problem === undefined) this.note('datastore', `pool ${pool} is there on ${name}`);
      else
        this.add(
          'datastore',
          'blocks',
          `pool ${pool} ${problem}`,
          'mount it, or correct the pool in the config',
        );
    }
  }

  private async vms(name: string, host: MoRef): Promise<void> {
    const read = await this.vcenter.session.behind(host, 'vm', 'VirtualMachine', vmProperties, {
      signal: this.signal,
    });
    const whole = read
      .filter((o) => o.properties.has('config.instanceUuid'))
      .map((o) => vmOf(o.ref, o.properties));
    if (whole.length < read.length)
      this.add(
        'vm',
        'blocks',
        `${read.length - whole.length} VMs of ${name} cannot be read by it (inaccessible or orphaned)`,
        'repair or remove them: the list of this host is not complete with them',
      );
    const hindered = whole
      .filter((vm) => !vm.template)
      .flatMap((vm) => {
        const why = obstaclesOf(vm);
        return why.length === 0 ? [] : [`${vm.name} (${why.join('; ')})`];
      });
    if (hindered.length > 0)
      this.add(
        'vm',
        'note',
        `on ${name}, the disks of these are not moved: ${hindered.join(', ')}`,
        'cure the causes named before a disk is to be moved',
      );
    this.note('vm', `${whole.length} VMs of ${name} were read`);
  }
}

const obstaclesOf = (vm: VimVm): string[] => [
  ...(vm.snapshots ? ['has snapshots'] : []),
  ...(vm.consolidationNeeded ? ['needs consolidation'] : []),
  ...vm.disks.flatMap((d) => d.obstacles.map((o) => `${d.label}: ${o}`)),
];
