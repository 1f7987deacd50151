/** The notifier's contract on the channels that speak to others, each with a receiver that reads what the other side would. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { NotifierPort } from '../../activities/ports';
import { createAlertmanager } from '../../drivers/alertmanager';
import { createWebhook } from '../../drivers/webhook';
import { runContract } from './contract';
import { notifierContract, type NotifierSubject } from './notifier.contract';

type Delivered = Awaited<ReturnType<NotifierSubject['world']['delivered']>>[number];

/** @param read what one request says, in the contract's words. */
const opening =
  (open: (url: string) => NotifierPort, read: (body: string) => Delivered[]) =>
  async (): Promise<{ subject: NotifierSubject; close(): Promise<void> }> => {
    const delivered: Delivered[] = [];
    let failing = false;
    const server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8');
      request.on('data', (some: string) => (body += some));
      request.on('end', () => {
        if (!failing) delivered.push(...read(body));
        response.writeHead(failing ? 503 : 200).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    return {
      subject: {
        port: open(`http://127.0.0.1:${port}`),
        world: {
          delivered: () => Promise.resolve(delivered),
          failSink() {
            failing = true;
            return Promise.resolve();
          },
        },
      },
      async close() {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  };

interface Posted {
  readonly labels: { readonly vmedic_key: string };
  readonly annotations: { readonly summary: string };
  readonly endsAt: string;
}

/** To Alertmanager an alert is over when its end lies in the past. */
const ofAlertmanager = (body: string): Delivered[] =>
  (JSON.parse(body) as Posted[]).map(({ labels, annotations, endsAt }) => ({
    key: labels.vmedic_key,
    sentence: annotations.summary,
    clearedAt: Date.parse(endsAt) <= Date.now() ? endsAt : undefined,
  }));

const ofWebhook = (body: string): Delivered[] => [(JSON.parse(body) as { data: Delivered }).data];

runContract(
  'notifier',
  'alertmanager',
  notifierContract,
  opening((url) => createAlertmanager({ url }), ofAlertmanager),
);
runContract(
  'notifier',
  'webhook',
  notifierContract,
  opening((url) => createWebhook({ url, secret: () => 'between us' }), ofWebhook),
);
