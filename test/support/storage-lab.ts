import { whyNoStorageLab } from '../../lab/storage/availability';
import { describeIf } from './optional';
import { describeOnRealHosts } from './real-hosts';

const reason = whyNoStorageLab();

/** `describe` for tests on real kernels' storage; left out with the reason where there can be none. */
export const describeOnStorageLab: jest.Describe =
  reason === undefined ? describeOnRealHosts : describeIf(false, reason);

/** The same for what takes minutes: `make soak` runs it. */
export const describeAtLengthOnStorageLab: jest.Describe =
  process.env['VMEDIC_SOAK'] === 'true'
    ? describeOnStorageLab
    : describeIf(false, 'it takes minutes: make soak', 'beyond-ci');
