import { LAB_FOLDER_LENGTH_LIMIT, type Whoami, checkLabFolder, defaultLabFolder } from '../../../lab/folder';

const ann: Whoami = { uid: 1000, username: 'ann', home: '/home/ann' };

describe('the folder of a lab', () => {
  it.each<[string, NodeJS.ProcessEnv, Whoami, string]>([
    ['follows VMEDIC_HOME', { VMEDIC_HOME: '/srv/v' }, ann, '/srv/v/lab'],
    ["is the service user's own", {}, { ...ann, username: 'vmedic' }, '/var/lib/vmedic/lab'],
    ['follows XDG_STATE_HOME', { XDG_STATE_HOME: '/s' }, ann, '/s/vmedic/lab'],
    ["is in the user's state folder", {}, ann, '/home/ann/.local/state/vmedic/lab'],
    [
      'moves to /tmp where sockets would not fit',
      { VMEDIC_HOME: `/${'x'.repeat(60)}` },
      ann,
      '/tmp/vmedic-1000/lab',
    ],
  ])('%s', (_rule, env, who, folder) => {
    expect(defaultLabFolder(env, who)).toBe(folder);
    expect(() => checkLabFolder(folder)).not.toThrow();
  });

  it('is refused when the longest socket below it would not fit, with the way out', () => {
    const longest = `/${'x'.repeat(LAB_FOLDER_LENGTH_LIMIT - 2)}`;
    expect(() => checkLabFolder(longest)).not.toThrow();
    expect(`${longest}/hv-a/conf/libvirt/qemu/lib/domain-999-vm-100/monitor.sock`.length).toBeLessThan(108);
    expect(() => checkLabFolder(`${longest}x`)).toThrow(/50 characters.*choose a shorter one.*VMEDIC_HOME/);
  });

  it('is refused when it is relative, or a shell or a URI would misread it', () => {
    expect(() => checkLabFolder('lab')).toThrow('absolute');
    for (const folder of ['/a b', '/a?b', '/a&b', "/a'b"])
      expect(() => checkLabFolder(folder)).toThrow('letters, digits');
  });
});
