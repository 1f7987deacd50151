// What this machine must have. Everything missing is reported at once, with the command that brings it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

const PACKAGES = {
  libvirtd: 'libvirt-daemon',
  virsh: 'libvirt-clients',
  'g++': 'g++',
  make: 'make',
  python3: 'python3',
  'pkg-config': 'pkg-config',
};

const PATH = `${process.env.PATH}:/usr/sbin`;

function hasProgram(name) {
  return PATH.split(':').some((folder) => folder !== '' && existsSync(join(folder, name)));
}

export function missingPackages() {
  const missing = Object.keys(PACKAGES).filter((program) => !hasProgram(program));
  const packages = missing.map((program) => PACKAGES[program]);
  if (missing.includes('pkg-config') || spawnSync('pkg-config', ['--exists', 'libvirt']).status !== 0) {
    packages.push('libvirt-dev');
  }
  return packages;
}

/** Node's own headers beside its binary, when its packager ships them; otherwise node-gyp fetches them. */
export function nodeHeaders() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include', 'node', 'node.h')) ? prefix : undefined;
}

export function versions() {
  const firstLine = (command, words) => spawnSync(command, words, { encoding: 'utf8' }).stdout?.split('\n')[0] ?? '?';
  return { node: process.version, libvirt: firstLine('virsh', ['--version']), compiler: firstLine('g++', ['--version']) };
}
