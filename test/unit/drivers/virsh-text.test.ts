import {
  connectionTrouble,
  errorSentence,
  lockHeldIn,
  parseDomstats,
  parseUuidNames,
  stateOf,
} from '../../../drivers/libvirt/virsh-text';

const startedBesideAnother = `error: Failed to start domain 'vm1'
error: internal error: process exited while connecting to monitor: 2026-11-21T12:33:13.810669Z qemu-system-x86_64: -device {"driver":"virtio-blk-pci","drive":"libvirt-1-format"}: Failed to get "write" lock
Is another process using the image [/pool/d1.raw]?
`;

describe('the text of a held image lock', () => {
  it('is recognised, with the image', () => {
    expect(lockHeldIn(startedBesideAnother)).toEqual({ path: '/pool/d1.raw' });
  });

  it('is recognised for a shared lock, also when no image is named', () => {
    expect(lockHeldIn('error: Failed to get shared "consistent read" lock')).toEqual({ path: undefined });
  });

  it.each([
    'error: Failed to lock byte 100',
    'error: resource busy: Lockspace resource is locked',
    'error: Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchDomainCreate)',
    '',
  ])('is not seen in %j', (text) => {
    expect(lockHeldIn(text)).toBeUndefined();
  });
});

describe('trouble with the connection', () => {
  const failed = 'error: failed to connect to the hypervisor\nerror: ';

  it.each([
    [`${failed}Failed to connect socket to '/run/s': Connection refused`, 'refused'],
    [`${failed}Failed to connect socket to '/run/s': No such file or directory`, 'nobody-answered'],
    [`${failed}unable to connect to server at 'h:16509': Connection refused`, 'refused'],
    [`${failed}unable to connect to server at 'h:16509': No route to host`, 'nobody-answered'],
    [`${failed}unable to connect to server at 'h:16509': Connection timed out`, 'nobody-answered'],
    [`${failed}Cannot recv data: ssh: connect to host h port 22: Connection refused: Connection reset by peer`, 'refused'], // prettier-ignore
    [`${failed}Cannot recv data: ssh: connect to host h port 22: No route to host: Connection reset by peer`, 'nobody-answered'], // prettier-ignore
    [`${failed}Cannot recv data: Connection timed out during banner exchange: Broken pipe`, 'refused'],
    [`${failed}End of file while reading data: : Input/output error`, 'refused'],
    ['error: Disconnected from qemu:///system due to end of file', 'broken-mid-call'],
    ['error: Disconnected from qemu:///system due to keepalive timeout', 'broken-mid-call'],
    ["error: failed to get domain 'x'", undefined],
    [startedBesideAnother, undefined],
  ])('%j is %s', (text, trouble) => {
    expect(connectionTrouble(text)).toBe(trouble);
  });

  it('that began with a broken call is never taken for "nothing was sent"', () => {
    const text = `error: End of file while reading data: Input/output error\n${failed}Failed to connect socket to '/run/s': Connection refused`;
    expect(connectionTrouble(text)).toBe('broken-mid-call');
  });
});

it('gives the cause without the frame around it', () => {
  expect(
    errorSentence("error: Failed to start domain 'vm1'\nerror: Requested operation is not valid: x\n"),
  ).toBe('Requested operation is not valid: x');
});

it('reads states by name, whatever the name holds', () => {
  const text =
    "Domain: 'it''s one'\n  state.state=1\n  state.reason=5\n\nDomain: 'two'\n  state.state=5\n  state.reason=3\n";
  expect(parseDomstats(text)).toEqual(
    new Map([
      ["it''s one", { state: 1, reason: 5 }],
      ['two', { state: 5, reason: 3 }],
    ]),
  );
});

it('reads ids with names that hold blanks', () => {
  const id = '00000001-0000-4000-8000-000000000001';
  expect(parseUuidNames(`${id} a b\n\n`)).toEqual([{ id, name: 'a b' }]);
});

describe('the states of libvirt', () => {
  it.each([
    [1, 1, 'running', 'booted'],
    [2, 0, 'running', '0'],
    [3, 1, 'paused', 'user'],
    [3, 2, 'in-transition', 'migrating'],
    [3, 5, 'paused', 'I/O error'],
    [4, 0, 'in-transition', 'in shutdown'],
    [5, 2, 'shut-off', 'destroyed'],
    [5, 3, 'crashed', 'crashed'],
    [6, 1, 'paused', 'crashed and preserved: panicked'],
    [7, 0, 'paused', 'suspended by its guest'],
    [0, 0, 'unknown', 'state 0'],
    [99, 0, 'unknown', 'state 99'],
  ])('%d/%d is %s (%s)', (state, reason, word, why) => {
    expect(stateOf({ state, reason })).toEqual({ state: word, reason: why });
  });
});
