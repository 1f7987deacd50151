import { postgres } from './servers';

module.exports = async (): Promise<void> => {
  await postgres();
};
