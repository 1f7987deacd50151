import { stopAll } from './servers';

module.exports = async (): Promise<void> => {
  await stopAll();
};
