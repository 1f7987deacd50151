import { createSocket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Bmc, type BmcPlace } from './bmc';
import { readFaultWords } from './faults';

const ANSWER_MS = 200;
/** Longer than any password that is used: what the BMC knows while it refuses logins. */
const NOBODYS_PASSWORD = 'changed-by-somebody';

/** OpenIPMI's simulator speaking IPMI 2.0 over LAN (cipher suite 3). Its chassis is the host script. */
export class IpmiBmc extends Bmc {
  constructor(place: BmcPlace) {
    super('ipmi', place);
  }

  protected prepare(password: string): void {
    const refuses = readFaultWords(readFaults(this.folder)).refuseLogin;
    writeFileSync(join(this.folder, 'lan.conf'), this.lanSettings(refuses ? NOBODYS_PASSWORD : password), {
      mode: 0o600,
    });
    writeFileSync(join(this.folder, 'bmc.emu'), EMULATED_CONTROLLER);
  }

  protected command(): readonly [string, ...string[]] {
    const at = (name: string): string => join(this.folder, name);
    return ['ipmi_sim', '-c', at('lan.conf'), '-f', at('bmc.emu'), '-s', at('state'), '-n'];
  }

  protected answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = createSocket('udp4');
      const end = (answered: boolean): void => {
        clearTimeout(deadline);
        socket.close();
        resolve(answered);
      };
      const deadline = setTimeout(() => end(false), ANSWER_MS);
      socket.once('message', () => end(true));
      // A closed port answers so, too.
      socket.once('error', () => end(false));
      socket.connect(this.port, this.address, () => socket.send(GET_CHANNEL_AUTHENTICATION_CAPABILITIES));
    });
  }

  /** ipmi_sim reads its passwords once, when it starts. */
  protected override async takeLoginFault(refuse: boolean): Promise<void> {
    const refuses = readFileSync(join(this.folder, 'lan.conf'), 'utf8').includes(NOBODYS_PASSWORD);
    if (refuse !== refuses) await this.stop();
  }

  private lanSettings(password: string): string {
    const levels = ['callback', 'user', 'operator', 'admin'];
    return [
      `name "${this.place.host}"`,
      'set_working_mc 0x20',
      '  startlan 1',
      `    addr ${this.address} ${this.port}`,
      '    priv_limit admin',
      ...levels.map((level) => `    allowed_auths_${level} none md2 md5 straight`),
      '    guid a123456789abcdefa123456789abcdef',
      '  endlan',
      `  chassis_control "${join(this.place.lab, 'host')} chassis ${this.hostFolder}"`,
      `  user 2 true "${this.username}" "${password}" admin 10 none md2 md5 straight`,
      '',
    ].join('\n');
  }
}

const EMULATED_CONTROLLER = [
  'mc_setbmc 0x20',
  'mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02',
  'sel_enable 0x20 1000 0x0a',
  'mc_enable 0x20',
  '',
].join('\n');

/** The one request that IPMI answers outside of a session (IPMI 2.0, 22.13): for the current channel, as administrator. */
const GET_CHANNEL_AUTHENTICATION_CAPABILITIES = Buffer.from(
  '0600ff07' + '00' + '00000000' + '00000000' + '09' + '2018c8' + '8100388e04b5',
  'hex',
);

function readFaults(folder: string): string {
  try {
    return readFileSync(join(folder, 'faults'), 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw cause;
  }
}
