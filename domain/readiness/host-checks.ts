/** Whether a host could be proven off, and whether it could take VMs. */
import type { HostId } from '../ids';
import type { DeviceFact, HostFacts, HostSurvey } from './facts';
import type { Finding, ReadinessCheck } from './report';

/** Below these a host lacks what VMedic calls: `undefine --keep-nvram` (libvirt 2.3), image locks and `-U` (QEMU 2.10). */
const oldest: Readonly<Record<string, string>> = { virsh: '2.3.0', qemu: '2.10.0', 'qemu-img': '2.10.0' };

export function hostFindings(facts: HostFacts): Finding[] {
  return [...fenceFindings(facts), ...answerFindings(facts), ...surveyFindings(facts)];
}

/** Why this host could not take VMs now, apart from room and storage; undefined when it could. */
export function unfitTarget(facts: HostFacts): string | undefined {
  if (facts.standing !== 'in-service') return `is ${facts.standing}`;
  if (facts.list.kind === 'not-read') return 'does not answer';
  if (facts.survey.kind === 'not-read') return 'cannot be looked into';
  const missing = facts.survey.value.commands.find(
    (c) => c.version === undefined && neededToStart.includes(c.name),
  );
  return missing === undefined ? undefined : `has no ${missing.name}`;
}

const neededToStart: readonly string[] = ['qemu'];

const about = (id: HostId): Finding['about'] => ({ kind: 'host', id });

const found = (
  host: HostId,
  check: ReadinessCheck,
  severity: Finding['severity'],
  sentence: string,
  next: string,
): Finding => ({ check, severity, about: about(host), sentence, next });

function fenceFindings({ host, devices, list }: HostFacts): Finding[] {
  if (host.fenceLevels.length === 0)
    return [
      found(
        host.id,
        'fence-none',
        'blocks',
        `${host.id} has no fence level: after its failure nothing moves until a person attests that it is off`,
        `declare fencing for ${host.id} in the config, then vmedic config check`,
      ),
    ];
  const alive = list.kind === 'read';
  const trouble = (d: DeviceFact): boolean => d.says !== 'on' && (d.says !== 'off' || alive);
  // A level proves something only when every device of it is read.
  const whole = host.fenceLevels.some((level) =>
    level.devices.every(
      (d) => !devices.some((f) => f.level === level.name && f.deviceId === d.id && trouble(f)),
    ),
  );
  return devices.filter(trouble).map((d) => deviceFinding(d, whole));
}

function deviceFinding(device: DeviceFact, anotherLevelIsWhole: boolean): Finding {
  const { hostId, deviceId, level, detail } = device;
  const severity = anotherLevelIsWhole ? 'risks' : 'blocks';
  const which = `Fence device ${deviceId} (level ${level}) of ${hostId}`;
  if (device.says === 'login-refused')
    return found(
      hostId,
      'fence-login-refused',
      severity,
      `${which} refuses the login: ${detail}`,
      `correct its password where the config refers to it, then vmedic readiness --retry-logins`,
    );
  if (device.says === 'off')
    return found(
      hostId,
      'fence-reads-off',
      // Never less, whatever the other levels say: this one would prove "off" of a host that lives.
      'blocks',
      `${which} reads "off" while ${hostId} answers: it is wired to another machine, or it lies`,
      `compare its address with the machine's label; until then take the device out of the config`,
    );
  return found(
    hostId,
    'fence-silent',
    severity,
    `${which} does not answer "status": ${detail}`,
    `check its power, network and options; vmedic config check names wrong options`,
  );
}

function answerFindings({ host: { id }, list, survey, standing }: HostFacts): Finding[] {
  const findings: Finding[] = [];
  if (standing !== 'in-service')
    findings.push(
      found(id, 'host-standing', 'risks', `${id} is ${standing}: it takes no VMs`, `vmedic host show ${id}`),
    );
  if (list.kind === 'not-read')
    findings.push(
      found(
        id,
        'host-unread',
        'risks',
        `The hypervisor of ${id} could not be read, so its VMs are judged by what was seen last: ${list.detail}`,
        `vmedic host show ${id}`,
      ),
    );
  if (survey.kind === 'not-read')
    findings.push(
      found(
        id,
        'host-commands',
        'risks',
        `Commands could not be run on ${id}, so nothing can be prepared or looked at there: ${survey.detail}`,
        `check ssh from VMedic's machine to ${id} (key, user, host key)`,
      ),
    );
  return findings;
}

function surveyFindings({ host: { id }, survey }: HostFacts): Finding[] {
  if (survey.kind === 'not-read') return [];
  return [...commandFindings(id, survey.value), ...rivalFindings(id, survey.value)];
}

function commandFindings(id: HostId, { commands }: HostSurvey): Finding[] {
  return commands.flatMap(({ name, version }) => {
    const least = oldest[name];
    if (version === undefined)
      return [
        found(
          id,
          'command-missing',
          'risks',
          `${id} has no ${name}, which VMedic calls there`,
          `install ${name} on ${id}`,
        ),
      ];
    if (least === undefined || !isOlder(version, least)) return [];
    const sentence = `${name} on ${id} is ${version}; VMedic needs ${least}`;
    return [found(id, 'command-old', 'risks', sentence, `upgrade ${name} on ${id}`)];
  });
}

/** Of dotted version numbers; what cannot be read is not called old. */
export function isOlder(version: string, least: string): boolean {
  const parts = (text: string): number[] => text.split('.').map((p) => Number.parseInt(p, 10));
  const [mine, needed] = [parts(version), parts(least)];
  if (mine.some(Number.isNaN)) return false;
  for (let i = 0; i < needed.length; i++) {
    const difference = (mine[i] ?? 0) - (needed[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function rivalFindings(id: HostId, { rivals }: HostSurvey): Finding[] {
  return rivals.map((rival) =>
    found(
      id,
      'rival-manager',
      'risks',
      `${rival} runs on ${id}: two managers may each restart the same VM, or fence each other's hosts`,
      `let one of the two look after these VMs: stop ${rival} there, or unprotect its VMs here`,
    ),
  );
}
