import { isOnPath, run } from './run';

/** What the lab runs, and the Debian package it comes in. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  'qemu-img': 'qemu-utils',
  libvirtd: 'libvirt-daemon',
  virsh: 'libvirt-clients',
  ipmi_sim: 'openipmi',
  ipmitool: 'ipmitool',
  fence_ipmilan: 'fence-agents',
  fence_redfish: 'fence-agents',
  openssl: 'openssl',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  flock: 'util-linux',
  hostname: 'hostname',
};

export type LabAvailability =
  | { readonly available: true }
  | {
      readonly available: false;
      /** Names of programs, or of what the system does not allow. */
      readonly missing: readonly string[];
      readonly why: string;
      /** What a person can do about it. */
      readonly cure: string;
    };

/** Whether real hosts can be had on this machine by this user. Looks, and changes nothing. */
export async function labAvailability(env: NodeJS.ProcessEnv = process.env): Promise<LabAvailability> {
  if (process.platform !== 'linux')
    return unavailable(
      ['linux'],
      `real hosts are made of Linux namespaces, and this is ${process.platform}`,
      'use the simulated datacenter here, or a Linux machine',
    );
  const missing = Object.keys(PROGRAMS).filter((program) => !isOnPath(program, env));
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((program) => PROGRAMS[program]))].join(' ');
    return unavailable(
      missing,
      `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not installed`,
      `as root: make install, or apt-get install --no-install-recommends ${packages}`,
    );
  }
  return process.getuid?.() === 0 ? { available: true } : namespaces();
}

/** The very thing that a host does when it is powered on. */
async function namespaces(): Promise<LabAvailability> {
  const namespace = ['--user', '--map-current-user', '--keep-caps', '--mount', '--pid', '--fork', '--uts'];
  const ran = await run('unshare', [...namespace, 'mount', '-t', 'proc', 'proc', '/proc'], {
    timeoutMs: 10_000,
  });
  if (ran.code === 0) return { available: true };
  return unavailable(
    ['user namespaces'],
    `an ordinary user may not make namespaces here: ${ran.stderr.trim() || 'unshare was refused'}`,
    'as root: sysctl -w user.max_user_namespaces=10000; on Debian also kernel.unprivileged_userns_clone=1, on Ubuntu ' +
      'kernel.apparmor_restrict_unprivileged_userns=0; in a container, run it with its /proc unmasked',
  );
}

function unavailable(missing: readonly string[], why: string, cure: string): LabAvailability {
  return { available: false, missing, why, cure };
}
