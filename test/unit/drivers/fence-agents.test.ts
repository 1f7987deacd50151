import { errorLines, statusAnswer, troubleOf } from '../../../drivers/fence-agents/agent-answer';
import { parseMetadata } from '../../../drivers/fence-agents/agent-metadata';
import {
  actionProblems,
  checkAgentOptions,
  optionProblems,
} from '../../../drivers/fence-agents/check-options';

const exit = (code: number, stdout = '', stderr = '') => ({ code, stdout, stderr });

describe('a status', () => {
  it('is off by exit code 2 and the word', () => {
    expect(statusAnswer(exit(2, 'Status: OFF\n')).says).toBe('off');
  });

  it('is on by exit code 0', () => {
    expect(statusAnswer(exit(0, 'Status: ON\n')).says).toBe('on');
  });

  it.each([
    ['a Python that cannot open the agent', "python3: can't open file '/usr/sbin/fence_x': [Errno 13]"],
    ['a usage error', 'usage: fence_x [-h]'],
    ['nothing at all', ''],
  ])('is not off by exit code 2 alone, as %s gives it', (_, stderr) => {
    expect(statusAnswer(exit(2, '', stderr)).says).toBe('silent');
  });

  it.each([1, 3, 127, 128, 255])('is not off by exit code %d, whatever is printed', (code) => {
    expect(statusAnswer(exit(code, 'Status: OFF\n')).says).toBe('silent');
  });
});

/** What fence_ipmilan prints with verbosity on, before and after ipmitool's own word. */
const ipmiLines = [
  ['2026-11-21 12:46:49,747 DEBUG: 1  Loading IANA PEN Registry...'],
  [
    'Error: Unable to establish IPMI v2 / RMCP+ session',
    '',
    '2026-11-21 12:46:49,747 ERROR: Failed: Unable to obtain correct plug status or plug is not available',
    '',
  ],
] as const;

describe('a refused login', () => {
  const ipmi = (said: string) => exit(1, '', [...ipmiLines[0], said, ...ipmiLines[1]].join('\n'));
  const redfish = (line: string) =>
    exit(1, '', `2026-11-21 DEBUG: ${line}\n2026-11-21 ERROR: Unable to get PowerState\n`);

  it.each([
    ['a wrong IPMI password', ipmi('> RAKP 2 HMAC is invalid')],
    ['an unknown IPMI user', ipmi('RAKP 2 message indicates an error : unauthorized name')],
    [
      'a cipher the BMC does not take',
      ipmi('Error in open session response message : invalid authentication algorithm'),
    ],
    ['a wrong password in a LAN session', ipmi('Activate Session command failed')],
    ['a wrong Redfish password', redfish('https://b:443 "GET /redfish/v1/Systems/A HTTP/1.1" 401 None')],
    [
      'no right to the Redfish resource',
      redfish('https://b:443 "GET /redfish/v1/Systems/A HTTP/1.1" 403 12'),
    ],
  ])('is seen in %s', (_, answer) => {
    expect(troubleOf(answer).says).toBe('login-refused');
  });

  it.each([
    ['an IPMI device that is away', exit(1, '', '2026-11-21 ERROR: Connection timed out\n')],
    ['a session that nobody answered', ipmi('')],
    [
      'a closed Redfish port',
      redfish('Max retries exceeded (Caused by NewConnectionError: Connection refused)'),
    ],
    ['a wrong Redfish path', redfish('https://b:443 "GET /redfish/v1/Systems/Z HTTP/1.1" 404 None')],
  ])('is not seen in %s', (_, answer) => {
    expect(troubleOf(answer).says).toBe('silent');
  });

  it('is told in the words of the device', () => {
    expect(errorLines(ipmi('> RAKP 2 HMAC is invalid'))).toContain('RAKP 2 HMAC is invalid');
  });
});

const metadata = parseMetadata(`<?xml version="1.0" ?><resource-agent name="fence_x"><parameters>
  <parameter name="action" required="1"><content type="string" default="reboot"/></parameter>
  <parameter name="ip" required="0" obsoletes="ipaddr"><content type="string"/></parameter>
  <parameter name="ipaddr" required="0" deprecated="1"><content type="string"/></parameter>
  <parameter name="username" required="1" obsoletes="login"><content type="string"/></parameter>
  <parameter name="login" required="1" deprecated="1"><content type="string"/></parameter>
  <parameter name="ipport" required="0"><content type="integer" default="623"/></parameter>
  <parameter name="power_wait" required="0"><content type="second" default="0"/></parameter>
  <parameter name="lanplus" required="0"><content type="boolean" default="0"/></parameter>
  <parameter name="ssl" required="0"><content type="boolean" default="1"/></parameter>
  <parameter name="auth" required="0"><content type="select"><option value="md5"/><option value="none"/></content></parameter>
  <parameter name="missing_as_off" required="0"><content type="boolean"/></parameter>
  <parameter name="debug_file" required="0"><content type="string"/></parameter>
</parameters><actions><action name="on"/><action name="off"/><action name="status"/></actions></resource-agent>`);
const good = { ip: 'bmc', username: 'u' };
const problems = (options: Record<string, string | number | boolean>) =>
  optionProblems('fence_x', metadata, options);

describe('options of a fence agent', () => {
  it('are accepted when they are what the agent takes', () => {
    expect(
      problems({ ...good, ipport: 623, lanplus: true, auth: 'md5', power_wait: '2', ssl: 'no' }),
    ).toEqual([]);
  });

  it('may use the older name of a pair', () => {
    expect(problems({ ipaddr: 'bmc', login: 'u' })).toEqual([]);
  });

  it.each([
    [{ ...good, lanplsu: true }, 'fence_x has no option lanplsu (did you mean lanplus?)'],
    [{ ...good, ipport: 'x' }, 'option ipport must be a whole number'],
    [{ ...good, power_wait: 1.5 }, 'option power_wait must be a whole number of seconds'],
    [{ ...good, lanplus: 'maybe' }, 'option lanplus must be true or false'],
    [{ ...good, auth: 'md4' }, 'option auth must be one of md5, none'],
    [{ username: 'u' }, 'fence_x needs the option ip'],
    [{ ip: 'bmc' }, 'fence_x needs the option username'],
    [{ ...good, ip: 'bmc\naction=on' }, 'option ip holds a line break'],
  ])('%j: %s', (options, problem) => {
    expect(problems(options)).toEqual([problem]);
  });

  it.each(['missing_as_off', 'action', 'debug_file', 'verbose_level'])('may never hold %s', (name) => {
    expect(problems({ ...good, [name]: '1' })).toEqual([
      expect.stringContaining(`option ${name} is not allowed`),
    ]);
  });

  it('never stand in a problem with their value', () => {
    expect(
      problems({ ...good, ipport: 'hunter2', lanplus: 'hunter2', auth: 'hunter2' }).join(),
    ).not.toContain('hunter2');
  });

  it('are all told at once', () => {
    expect(problems({ ipport: 'x', nonsense: 1 })).toHaveLength(4);
  });
});

it('refuses an agent that cannot say whether a host is off', () => {
  expect(actionProblems('fence_x', metadata)).toEqual([]);
  expect(actionProblems('fence_y', { ...metadata, actions: new Set(['off', 'on']) })).toEqual([
    'fence_y has no "status": it can never prove that a host is off',
  ]);
});

it('says of an agent that is not installed where it comes from', async () => {
  expect(await checkAgentOptions('fence_no_such_agent', {})).toEqual([
    expect.stringContaining('fence-agents'),
  ]);
});
