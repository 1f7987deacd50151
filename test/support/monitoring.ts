/** Prometheus's own programs: from PATH, or from where `make packages` unpacked Debian's packages without installing them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cachesToRead } from '../../workers/embedded/cache-dir';

export type MonitoringProgram = 'promtool' | 'amtool' | 'prometheus-alertmanager';

/** Its path; undefined where it is not there. */
export const monitoringProgram = (name: MonitoringProgram): string | undefined =>
  [
    ...(process.env['PATH'] ?? '').split(':'),
    ...cachesToRead().map((cache) => join(cache, 'monitoring', 'usr', 'bin')),
  ]
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
