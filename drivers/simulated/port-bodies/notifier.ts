import type { NotifierPort } from '../../../activities/ports';
import type { Served } from '../call-context';
import type { World } from '../world';

export function notifierBody(world: World): Served<NotifierPort> {
  return {
    deliver(alert) {
      world.alerts.push(alert);
      world.journal.effect({ effect: 'alert-delivered', alert });
      return Promise.resolve();
    },
  };
}
