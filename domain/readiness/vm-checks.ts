/** What stands in one VM's own way. */
import type { HostFacts, VmFacts } from './facts';
import type { Finding, ReadinessCheck } from './report';

export function vmFindings({ record, definitionStored }: VmFacts, hosts: readonly HostFacts[]): Finding[] {
  const { vmId, name, shape } = record;
  const found = (
    check: ReadinessCheck,
    severity: Finding['severity'],
    sentence: string,
    next: string,
  ): Finding => ({ check, severity, about: { kind: 'vm', id: vmId, name }, sentence, next });
  const homeless = shape.disks.filter((d) => d.poolId === undefined).map((d) => d.path);
  const shareable = shape.disks.filter((d) => d.shareable).map((d) => d.path);
  const autostartOn = hosts
    .filter(({ list }) => list.kind === 'read' && list.value.vms.some((v) => v.vmId === vmId && v.autostart))
    .map((h) => h.host.id);
  return [
    ...(definitionStored
      ? []
      : [
          found(
            'definition-not-stored',
            'blocks',
            `No definition of ${name} is stored: it could not be made on any other host`,
            'see that its host answers and the watch runs: vmedic status',
          ),
        ]),
    ...(homeless.length === 0
      ? []
      : [
          found(
            'disk-without-pool',
            'blocks',
            `${homeless.join(', ')} of ${name} lies in no declared pool, so nobody knows who else may write to it`,
            'declare its pool in the config, then vmedic config check',
          ),
        ]),
    ...(shareable.length === 0
      ? []
      : [
          found(
            'disk-shareable',
            'risks',
            `${shareable.join(', ')} of ${name} is marked <shareable/>: QEMU takes no lock on it, so only fencing guards it`,
            `take <shareable/> out of its definition: virsh edit ${name}`,
          ),
        ]),
    ...autostartOn.map((host) =>
      found(
        'autostart',
        'risks',
        `${host} starts ${name} by itself at boot: after a power cut it would, while ${name} runs elsewhere`,
        `virsh autostart --disable ${name} on ${host}`,
      ),
    ),
  ];
}
