import { bundle, postgres, temporal } from './servers';

module.exports = async (): Promise<void> => {
  await Promise.all([temporal(), postgres(), bundle()]);
};
