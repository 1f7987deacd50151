/**
 * The judge's own eyes on a simulated vCenter: what the SDK answers to requests written here by hand, and what lies in the folders of its
 * datastores. It shares no code with the driver, nor does it ask the simulator's control port.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { dirname, join } from 'node:path';

export interface SdkAccess {
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly ca: string;
}

export interface SeenDisk {
  readonly uuid: string;
  readonly datastore: string;
  /** As an ESXi host would name it. */
  readonly path: string;
  /** The sum of its bytes; undefined where a file of it is missing. */
  readonly content: string | undefined;
}

export interface VcenterReader {
  /** Undefined when vCenter knows no VM of this instance UUID. */
  disksOf(instanceUuid: string): Promise<SeenDisk[] | undefined>;
  /** How often the bytes of a disk lie anywhere on any datastore. */
  copiesOf(content: string): number;
  /** Every file of the VM's folder on that datastore, with the sum of its bytes. */
  filesOf(datastore: string, vm: string): ReadonlyMap<string, string>;
  /** Puts a file there that nobody in the inventory knows. */
  plant(datastore: string, file: string, text: string): void;
}

/** Learns where the datastores lie from the host of a VM that is there. */
export async function openReader(access: SdkAccess, instanceUuid: string): Promise<VcenterReader> {
  const folders = await foldersOf(await loggedIn(access), instanceUuid);
  return {
    async disksOf(uuid) {
      const ask = await loggedIn(access);
      const vm = await vmRef(ask, uuid);
      if (vm === undefined) return undefined;
      const devices = await ask(...propertyOf('VirtualMachine', vm, 'config.hardware.device'));
      return diskElements(devices).map((xml) => seenDisk(xml, folders));
    },
    copiesOf(content) {
      const extents = [...folders.values()].flatMap((folder) =>
        readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
          (e) => e.isFile() && e.name.endsWith('-flat.vmdk'),
        ),
      );
      return extents.filter((e) => sumOf(join(e.parentPath, e.name)) === content).length;
    },
    filesOf(datastore, vm) {
      const folder = join(folders.get(datastore) ?? '', vm);
      const names = existsSync(folder) ? readdirSync(folder).sort() : [];
      return new Map(names.map((name) => [name, sumOf(join(folder, name))]));
    },
    plant(datastore, file, text) {
      const path = join(folders.get(datastore) ?? '', file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    },
  };
}

async function vmRef(ask: Ask, instanceUuid: string): Promise<string | undefined> {
  const wanted = `<uuid>${instanceUuid}</uuid><vmSearch>true</vmSearch><instanceUuid>true</instanceUuid>`;
  const found = await ask('FindByUuid', `<_this type="SearchIndex">SearchIndex</_this>${wanted}`);
  return /<returnval type="VirtualMachine">([^<]+)</.exec(found)?.[1];
}

const propertyOf = (type: string, ref: string, path: string): [string, string] => [
  'RetrievePropertiesEx',
  '<_this type="PropertyCollector">propertyCollector</_this><specSet>' +
    `<propSet><type>${type}</type><pathSet>${path}</pathSet></propSet>` +
    `<objectSet><obj type="${type}">${ref}</obj></objectSet></specSet><options></options>`,
];

/** The simulator's datastores are folders of this machine, and their URL says which. */
async function foldersOf(ask: Ask, instanceUuid: string): Promise<Map<string, string>> {
  const vm = (await vmRef(ask, instanceUuid)) ?? '';
  const hosted = await ask(...propertyOf('VirtualMachine', vm, 'runtime.host'));
  const host = /type="HostSystem"[^>]*>([^<]+)</.exec(hosted)?.[1] ?? '';
  const mounted = await ask(...propertyOf('HostSystem', host, 'datastore'));
  const folders = new Map<string, string>();
  for (const [, store = ''] of mounted.matchAll(/type="Datastore"[^>]*>([^<]+)</g)) {
    const summary = await ask(...propertyOf('Datastore', store, 'summary'));
    const [, url] = /<url>([^<]+)</.exec(summary) ?? [];
    const [, name] = /<name>([^<]+)<\/name><url>/.exec(summary) ?? [];
    if (url === undefined || name === undefined) throw new Error(`${store} tells no folder: ${summary}`);
    folders.set(name, url);
  }
  if (folders.size === 0) throw new Error(`${host} mounts no datastore: ${mounted}`);
  return folders;
}

const diskElements = (devices: string): string[] =>
  devices.split(/(?=<VirtualDevice )/).filter((xml) => /^<VirtualDevice [^>]*type="VirtualDisk"/.test(xml));

function seenDisk(xml: string, folders: ReadonlyMap<string, string>): SeenDisk {
  const [, datastore, file] = /<fileName>\[([^\]]+)\] ([^<]+)</.exec(xml) ?? [];
  const [, uuid] = /<uuid>([^<]+)</.exec(xml) ?? [];
  const folder = folders.get(datastore ?? '');
  if (datastore === undefined || file === undefined || uuid === undefined || folder === undefined)
    throw new Error(`a disk that names no file: ${xml}`);
  return {
    ...{ uuid, datastore, path: `/vmfs/volumes/${datastore}/${file}` },
    content: contentAt(join(folder, file)),
  };
}

/** A disk is its descriptor and its extent; one without the other is none. */
function contentAt(descriptor: string): string | undefined {
  const extent = descriptor.replace(/\.vmdk$/, '-flat.vmdk');
  return existsSync(descriptor) && existsSync(extent) ? sumOf(extent) : undefined;
}

const sumOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

type Ask = (method: string, body: string) => Promise<string>;

async function loggedIn(access: SdkAccess): Promise<Ask> {
  const login =
    '<_this type="SessionManager">SessionManager</_this>' +
    `<userName>${access.username}</userName><password>${access.password}</password>`;
  const { cookie } = await send(access, 'Login', login, undefined);
  return async (method, body) => (await send(access, method, body, cookie)).text;
}

function send(
  { url, ca }: SdkAccess,
  method: string,
  body: string,
  cookie: string | undefined,
): Promise<{ text: string; cookie: string | undefined }> {
  const envelope =
    '<?xml version="1.0"?><Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>' +
    `<${method} xmlns="urn:vim25">${body}</${method}></Body></Envelope>`;
  const headers = {
    ...{ 'content-type': 'text/xml', soapaction: '"urn:vim25/8.0.3.0"' },
    ...(cookie === undefined ? {} : { cookie }),
  };
  return new Promise((resolve, reject) => {
    const asked = request(url, { method: 'POST', ca, headers, agent: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.on('end', () => {
        if (answer.statusCode === 200)
          resolve({ text, cookie: answer.headers['set-cookie']?.[0]?.split(';')[0] });
        else reject(new Error(`${method} was answered with ${String(answer.statusCode)}: ${text}`));
      });
    });
    asked.once('error', reject);
    asked.end(envelope);
  });
}
