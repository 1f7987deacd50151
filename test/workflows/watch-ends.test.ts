/** A defect in what one host's loop does must not leave the others watching by themselves: the watch ends, and the server begins it anew. */
import { Context } from '@temporalio/activity';
import type { Ports } from '../../activities/ports';
import { eventually, systems } from '../support/story';

const begin = systems();

it('ends as a whole when one host’s loop meets what is no fault, and is begun anew with all its hosts', async () => {
  const lists: { readonly host: string; readonly attempt: number }[] = [];
  let isBroken = false;
  const wrap = (ports: Ports): Ports => {
    const list: Ports['hypervisor']['list'] = async (host, signal) => {
      const { activityType, attempt } = Context.current().info;
      if (activityType !== 'watchCluster') return ports.hypervisor.list(host, signal);
      lists.push({ host, attempt });
      if (isBroken && attempt === 1 && host.endsWith('hv-a')) throw new TypeError('a defect of ours');
      return ports.hypervisor.list(host, signal);
    };
    // A driver is an object with methods: its own stay what they are.
    const hypervisor = Object.assign(Object.create(ports.hypervisor) as typeof ports.hypervisor, { list });
    return { ...ports, hypervisor, hints: { follow: () => Promise.resolve() } };
  };
  const system = await begin({ wrap });
  await system.watch();
  const looked = (attempt: number): Set<string> =>
    new Set(lists.filter((l) => l.attempt === attempt).map((l) => l.host));
  await eventually('a look at each host', () => looked(1).size === 3);
  isBroken = true;
  await eventually('a look at each host by the next attempt', () => looked(2).size === 3);
  const begun = lists.findIndex((l) => l.attempt === 2);
  await eventually('more looks', () => lists.length >= begun + 30);
  expect(new Set(lists.slice(begun).map((l) => l.attempt))).toEqual(new Set([2]));
});
