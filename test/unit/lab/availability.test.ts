import { labAvailability } from '../../../lab/availability';
import { describeIf } from '../../support/optional';

describeIf(
  process.platform === 'linux',
  'elsewhere the platform is what is missing',
  'beyond-ci',
)("a machine without the lab's programs", () => {
  it('is told which are missing and the command that installs them', async () => {
    const answer = await labAvailability({ PATH: '/nonexistent' });
    if (answer.available) throw new Error('programs were found in a folder that does not exist');
    expect(answer.missing).toEqual(expect.arrayContaining(['qemu-system-x86_64', 'qemu-img', 'virsh']));
    expect(answer.why).toMatch(/qemu-img.* are not installed/);
    expect(answer.cure).toMatch(/make install, or apt-get install .*qemu-system-x86 qemu-utils/);
  });
});
