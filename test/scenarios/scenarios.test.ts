/** One situation each, as an operator would read it: README, world, timeline, and the log that must come of it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { judge } from '../support/judge';
import { goldenOf, hasGolden, play, scenarioNames, scenariosFolder } from './play';

const logLinesMax = 60;

it.each(scenarioNames())('%s can be read by an operator', (name) => {
  for (const file of ['README.md', 'world.json', 'timeline.json', 'expected.log'])
    expect({ file, there: existsSync(join(scenariosFolder, name, file)) }).toEqual({ file, there: true });
  const readme = readFileSync(join(scenariosFolder, name, 'README.md'), 'utf8');
  expect(readme).toMatch(/^# .+\n/);
  for (const part of ['What happens', 'What VMedic does', 'What you do'])
    expect(readme).toContain(`**${part}.**`);
  expect(readFileSync(goldenOf(name), 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(logLinesMax);
});

it.each(scenarioNames())('%s goes as its log says, and breaks no law on the way', async (name) => {
  if (!hasGolden(name))
    throw new Error(
      `${goldenOf(name)} is missing: record it by "npm run record-scenario -- ${name}", then read it`,
    );
  const { log, system, down } = await play(name);
  try {
    expect(`${log.join('\n')}\n`).toBe(readFileSync(goldenOf(name), 'utf8'));
    await judge(system, { down: down.map((vm) => system.vm(vm)) });
  } finally {
    await system.close();
  }
});
