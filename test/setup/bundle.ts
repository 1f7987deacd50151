import { bundle } from './servers';

module.exports = async (): Promise<void> => {
  await bundle();
};
