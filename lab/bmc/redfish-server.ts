/**
 * A small Redfish BMC: `redfish-server.js SETTINGS`. The service root, one computer system, and its reset action, which is what a fence
 * agent uses (DMTF DSP0266); faults are read anew at every request, so that they can be changed while it runs.
 */
import { execFile } from 'node:child_process';
import { timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { readFaultWords, type ToldFaults } from './faults';
import type { RedfishSettings } from './redfish';

const BODY_LIMIT = 4096;
const RESETS: Readonly<Record<string, string>> = { On: 'on', ForceOff: 'off', ForceRestart: 'reset' };

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

const settings = JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as RedfishSettings;
const login = `${settings.username}:${readFileSync(settings.passwordFile, 'utf8').trim()}`;
const systemPath = `/redfish/v1/Systems/${settings.system}`;
const resetPath = `${systemPath}/Actions/ComputerSystem.Reset`;

createServer(
  { key: readFileSync(settings.keyFile), cert: readFileSync(settings.certificateFile) },
  (request, response) => {
    handle(request, response).catch((cause: unknown) => {
      send(response, { status: 500, body: failure('GeneralError', String(cause)) });
    });
  },
).listen(settings.port, settings.address);

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await bodyOf(request);
  const faults = readFaultWords(
    existsSync(settings.faultsFile) ? readFileSync(settings.faultsFile, 'utf8') : '',
  );
  if (faults.frozen) return;
  if (faults.slowMs > 0) await delay(faults.slowMs);
  send(response, await answer(request, body, faults));
}

async function answer(request: IncomingMessage, body: string, faults: ToldFaults): Promise<Answer> {
  const path = (request.url ?? '/').replace(/\/$/, '');
  if (path === '/redfish/v1')
    return { status: 200, body: { '@odata.id': path, Systems: { '@odata.id': '/redfish/v1/Systems' } } };
  if (faults.refuseLogin || !isLogin(request.headers.authorization))
    return { status: 401, body: failure('NoValidSession', 'a login is needed') };
  if (path === '/redfish/v1/Systems')
    return { status: 200, body: { '@odata.id': path, Members: [{ '@odata.id': systemPath }] } };
  if (path === systemPath && request.method === 'GET')
    return { status: 200, body: await computerSystem(faults) };
  if (path === resetPath && request.method === 'POST') return reset(body, faults);
  return { status: 404, body: failure('ResourceMissingAtURI', `there is nothing at ${path}`) };
}

async function computerSystem(faults: ToldFaults): Promise<unknown> {
  const power = faults.powerReads ?? (await pressSwitch('power'));
  return {
    '@odata.id': systemPath,
    Id: settings.system,
    Name: settings.system,
    PowerState: power === 'on' ? 'On' : 'Off',
    Actions: {
      '#ComputerSystem.Reset': {
        target: resetPath,
        'ResetType@Redfish.AllowableValues': Object.keys(RESETS),
      },
    },
  };
}

async function reset(body: string, faults: ToldFaults): Promise<Answer> {
  let asked: unknown;
  try {
    asked = (JSON.parse(body) as { ResetType?: unknown }).ResetType;
  } catch (cause) {
    return { status: 400, body: failure('MalformedJSON', String(cause)) };
  }
  const command = typeof asked === 'string' ? RESETS[asked] : undefined;
  if (command === undefined)
    return { status: 400, body: failure('ActionParameterNotSupported', `ResetType ${String(asked)}`) };
  if (!faults.lying) await pressSwitch(command);
  return { status: 204 };
}

async function pressSwitch(command: string): Promise<string> {
  const { stdout } = await promisify(execFile)(settings.powerSwitch, [command, settings.hostFolder], {
    timeout: 40_000,
  });
  return stdout.trim();
}

function isLogin(header: string | undefined): boolean {
  const given = Buffer.from(header ?? '');
  const right = Buffer.from(`Basic ${Buffer.from(login).toString('base64')}`);
  return given.length === right.length && timingSafeEqual(given, right);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const part of request) {
    body += String(part);
    if (body.length > BODY_LIMIT) throw new RangeError(`a request of more than ${BODY_LIMIT} bytes`);
  }
  return body;
}

function failure(code: string, message: string): unknown {
  return { error: { code: `Base.1.0.${code}`, message } };
}

function send(response: ServerResponse, given: Answer): void {
  response.writeHead(given.status, { 'content-type': 'application/json', 'odata-version': '4.0' });
  response.end(given.body === undefined ? '' : JSON.stringify(given.body));
}
