import { isOnPath } from '../run';
import { imageIsBuilt } from './image';

/** What making the image and the guests takes, beside what every lab takes, and the Debian package it comes in. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  flock: 'util-linux',
};
const TO_BUILD: Readonly<Record<string, string>> = {
  'apt-get': 'apt',
  'dpkg-deb': 'dpkg',
  'mkfs.ext4': 'e2fsprogs',
};

/** Why there can be no storage lab here now; undefined when there can. Looks, and changes nothing. */
export function whyNoStorageLab(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const missing = lacking(PROGRAMS, env);
  if (missing !== undefined) return missing;
  if (imageIsBuilt()) return undefined;
  return (
    lacking(TO_BUILD, env) ??
    'its image is not built: make storage-image (220 MB of Debian packages, a minute)'
  );
}

function lacking(programs: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv): string | undefined {
  const missing = Object.keys(programs).filter((program) => !isOnPath(program, env));
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map((program) => programs[program]))].join(' ');
  return `${missing.join(', ')} not installed (Debian: ${packages})`;
}
