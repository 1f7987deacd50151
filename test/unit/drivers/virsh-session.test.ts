import type { ChildGateway, Printed } from '../../../drivers/child-processes';
import { VirshSession } from '../../../drivers/libvirt/virsh-session';

/** A virsh that stays, played by the test: what it was told, and what it says. */
interface Played {
  readonly told: string[];
  readonly say: Printed;
  ended: boolean;
}

function played() {
  const all: Played[] = [];
  const gateway = {
    talk(_request, say, signal) {
      const one: Played = { told: [], say, ended: false };
      all.push(one);
      const ended = new Promise<{ ended: 'cancelled'; stdout: string; stderr: string }>((resolve) => {
        signal.addEventListener('abort', () => {
          one.ended = true;
          resolve({ ended: 'cancelled', stdout: '', stderr: '' });
        });
      });
      return { write: (text) => void one.told.push(text), ended };
    },
  } satisfies Pick<ChildGateway, 'talk'>;
  const over = new AbortController();
  const host = { gateway: gateway as unknown as ChildGateway, program: 'virsh', uri: 'test:///x' };
  return { all, over, session: new VirshSession(host, over.signal) };
}

const never = new AbortController().signal;
const commands = ['list --all --uuid', 'domstats --state --raw'];
const markOf = (told: string): string => `@@${/echo "@@"(\w+)@@/.exec(told)?.[1] ?? ''}@@`;

/** As virsh does it: a prompt, what it was told, then the answers. */
function answer({ told, say }: Played, sections: readonly string[], errors = ''): void {
  const last = told.at(-1) ?? '';
  const mark = markOf(last);
  say(`virsh > ${last}${mark}${sections.map((s) => `${s}\n${mark}`).join('')}`, 'out');
  say(`${errors}error: ${mark}\n`, 'err');
}

async function begun() {
  const world = played();
  world.session.begin();
  const virsh = world.all[0]!;
  virsh.say('virsh > ', 'out');
  const first = world.session.ask(commands, never);
  answer(virsh, ['', '']);
  expect(await first).toEqual(['', '']);
  return { ...world, virsh };
}

it('answers with what each command printed, question by question', async () => {
  const { session, virsh } = await begun();
  for (const words of [
    ['uuid-1', 'Domain: a'],
    ['', '\nDomain: b\n'],
  ] as const) {
    const asked = session.ask(commands, never);
    answer(virsh, words);
    expect(await asked).toEqual(words.map((w) => w.trim()));
  }
  expect(virsh.ended).toBe(false);
  expect(new Set(virsh.told.map(markOf)).size).toBe(3);
});

it('says nothing before it has begun, or is ready, or while another asks', async () => {
  const { session, all } = played();
  expect(await session.ask(commands, never)).toBeUndefined();
  session.begin();
  expect(await session.ask(commands, never)).toBeUndefined();
  all[0]!.say('virsh > ', 'out');
  const first = session.ask(commands, never);
  expect(await session.ask(commands, never)).toBeUndefined();
  answer(all[0]!, ['', '']);
  expect(await first).toEqual(['', '']);
});

it.each<[string, (virsh: Played) => void]>([
  ['complains of anything', (virsh) => answer(virsh, ['a', 'b'], 'error: Disconnected\n')],
  ['does not answer in a moment', () => undefined],
  ['repeats what it was told and no more', (virsh) => virsh.say(`virsh > ${virsh.told.at(-1) ?? ''}`, 'out')],
  [
    'answers the commands and does not say that it has complained of none',
    (virsh) => {
      const mark = markOf(virsh.told.at(-1) ?? '');
      virsh.say(`${mark}a${mark}b${mark}`, 'out');
    },
  ],
])('is ended, and says nothing, when it %s', async (_, happens) => {
  const { session, virsh, all } = await begun();
  const asked = session.ask(commands, never);
  happens(virsh);
  expect(await asked).toBeUndefined();
  expect(virsh.ended).toBe(true);
  expect(await session.ask(commands, never)).toBeUndefined();
  session.begin();
  expect(all).toHaveLength(2);
});

it('takes no answer to an earlier question for one to the next', async () => {
  const { session, virsh, all } = await begun();
  const late = session.ask(commands, AbortSignal.abort());
  expect(await late).toBeUndefined();
  const gaveUp = new AbortController();
  const first = session.ask(commands, gaveUp.signal);
  gaveUp.abort();
  expect(await first).toBeUndefined();
  session.begin();
  all[1]!.say('virsh > ', 'out');
  const second = session.ask(commands, never);
  answer(virsh, ['old', 'old']);
  answer(all[1]!, ['new', 'new']);
  expect(await second).toEqual(['new', 'new']);
});

it('goes when its connection is lost while nobody asks, and when the driver is closed', async () => {
  const { session, virsh, all, over } = await begun();
  virsh.say('error: Disconnected from test:///x due to end of file\n', 'err');
  expect(virsh.ended).toBe(true);
  session.begin();
  over.abort();
  expect(all[1]!.ended).toBe(true);
  session.begin();
  expect(all).toHaveLength(2);
});

it('is not begun again and again where it never answers in order', async () => {
  const { session, all } = played();
  session.begin();
  all[0]!.say('another prompt: ', 'out');
  expect(await session.ask(commands, never)).toBeUndefined();
  session.begin();
  expect(all).toHaveLength(1);
});
