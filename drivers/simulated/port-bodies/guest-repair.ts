import type { GuestRepairPort } from '../../../activities/ports';
import { DriverFault } from '../../../domain/faults';
import type { KeptDisk, MendedFileSystem, RepairOrder } from '../../../domain/guest-repair';
import type { HostId } from '../../../domain/ids';
import type { CallContext, Served } from '../call-context';
import type { World } from '../world';
import { reach } from './host-commands';

/** What a copy of a disk needs in its pool. */
const diskBytes = 1;

export function guestRepairBody(world: World): Served<GuestRepairPort> {
  const { repairs, journal } = world;
  return {
    async preflight(host, order, context) {
      await reach(world, host, context);
      const why = order.disks.flatMap(({ path }) => {
        const disk = world.storage.disks.get(path);
        if (disk === undefined) return [`${path} is not there`];
        if (world.storage.pool(disk.poolId)?.type === 'vmfs')
          return [`no command on ${host} can keep ${path}`];
        return world.storage.freeBytes(disk.poolId) < diskBytes ? [`no room to keep ${path}`] : [];
      });
      if (why.length > 0) return { kind: 'refused', why };
      return { kind: 'ready', kept: order.disks.map((d) => keptOf(d, order.attempt)) };
    },

    async keep(host, order, context) {
      await working(world, host, 'keeping', order, context, ({ path }) => {
        if (repairs.keptOf(path, order.attempt) !== undefined) return;
        repairs.keep(path, order.attempt);
        journal.effect({ effect: 'disk-kept', path, hostId: host, by: order.attempt });
      });
    },

    async mend(host, order, context) {
      const found: MendedFileSystem[] = [];
      await working(world, host, 'mending', order, context, ({ path }) => {
        const kept = repairs.keptOf(path, order.attempt);
        if (kept?.state !== 'kept') throw failed(host, 'mending', order, `${path} was not kept before`);
        kept.written = true;
        const damage = repairs.damageOf(path);
        if (damage === 'mendable') repairs.damage(path, undefined);
        journal.effect({ effect: 'disk-mended', path, hostId: host, by: order.attempt });
        const is = damage === undefined ? 'whole' : damage === 'mendable' ? 'mended' : 'damaged';
        found.push({
          device: `/dev/sd${'abcdefgh'[found.length] ?? 'z'}1`,
          type: 'xfs',
          found: is,
          said: '',
        });
      });
      return found;
    },

    async goBack(host, order, context) {
      await working(world, host, 'going back', order, context, ({ path }) => {
        const kept = repairs.keptOf(path, order.attempt);
        if (kept === undefined)
          throw failed(host, 'going back', order, `what was kept of ${path} is not there`);
        if (kept.state === 'put-back') return;
        kept.state = 'put-back';
        repairs.damage(path, kept.damage);
        journal.effect({ effect: 'disk-put-back', path, hostId: host, by: order.attempt });
      });
    },

    async drop(host, order, context) {
      await working(world, host, 'dropping what was kept', order, context, ({ path }) => {
        const kept = repairs.keptOf(path, order.attempt);
        if (kept === undefined || (kept.written && kept.state === 'kept')) return;
        repairs.forget(path, order.attempt);
        journal.effect({ effect: 'kept-dropped', path, hostId: host, by: order.attempt });
      });
    },
  };
}

const keptOf = ({ device, path }: RepairOrder['disks'][number], attempt: string): KeptDisk => {
  const kept = `${path}.before-${attempt}`;
  return { device, path, kept, remove: `rm ${kept}` };
};

const failed = (host: HostId, what: string, { name: vm }: RepairOrder, detail: string): DriverFault =>
  new DriverFault('REPAIR_FAILED', { what, vm, host, detail });

/** One disk after another, none of them while anybody has it open. */
async function working(
  world: World,
  host: HostId,
  what: string,
  order: RepairOrder,
  context: CallContext,
  each: (disk: RepairOrder['disks'][number]) => void,
): Promise<void> {
  await reach(world, host, context);
  context.sent = true;
  for (const disk of order.disks) {
    const user = world.live.everywhere().find((p) => p.definition.disks.some((d) => d.path === disk.path));
    if (user !== undefined)
      throw failed(host, what, order, `${user.name} on ${user.hostId} has ${disk.path} open`);
    each(disk);
  }
}
