/** The two configurations a cluster under test reads: Corosync's, and Pacemaker's cluster information base (CIB). */

export type Profile = 'default' | 'tuned';

/** Pacemaker at its best: starts as many VMs at once as it is asked to and never holds back because of load. */
const tunedOptions: Readonly<Record<string, string>> = {
  'load-threshold': '10000%',
  'node-action-limit': '32',
  'batch-limit': '1000',
};

export interface ClusterShape {
  readonly nodes: readonly string[];
  readonly tokenMs: number;
  readonly profile: Profile;
  readonly vms: readonly string[];
  /** Where all VMs start out: the node whose power is cut. */
  readonly victim: string;
  readonly startDelaySeconds: number;
  readonly fenceSeconds: number;
}

/** Corosync adds 650 ms to the token for every node beyond two (its `token_coefficient`). */
export const effectiveTokenMs = (tokenMs: number, nodes: number): number =>
  tokenMs + 650 * Math.max(0, nodes - 2);

export const addressOf = (index: number): string => `10.99.0.${index + 1}`;

export function corosyncConf(nodes: readonly string[], tokenMs: number): string {
  const nodelist = nodes.map(
    (name, index) => `  node {
    ring0_addr: ${addressOf(index)}
    name: ${name}
    nodeid: ${index + 1}
  }`,
  );
  return `totem {
  version: 2
  cluster_name: bench
  transport: knet
  crypto_cipher: none
  crypto_hash: none
  token: ${tokenMs}
}
quorum {
  provider: corosync_votequorum
}
nodelist {
${nodelist.join('\n')}
}
logging {
  to_stderr: no
  to_syslog: no
  to_logfile: yes
  logfile: /var/log/corosync/corosync.log
  timestamp: hires
}
`;
}

function attributes(tag: string, id: string, values: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(values).map(
    ([name, value]) => `<nvpair id="${id}-${name}" name="${name}" value="${value}"/>`,
  );
  return `<${tag} id="${id}">${pairs.join('')}</${tag}>`;
}

/** One fence device for all nodes, and every VM preferring the victim, so that its loss moves all of them. */
export function cibConfiguration(shape: ClusterShape): string {
  const options = {
    'stonith-enabled': 'true',
    'stonith-action': 'off',
    'no-quorum-policy': 'stop',
    ...(shape.profile === 'tuned' ? tunedOptions : {}),
  };
  const device = {
    pcmk_host_list: shape.nodes.join(' '),
    pcmk_host_check: 'static-list',
    power_time: String(shape.fenceSeconds),
  };
  const fence = `<primitive id="fence" class="stonith" type="fence_dummy">${attributes('instance_attributes', 'fence-attributes', device)}</primitive>`;
  const startTimeout = Math.ceil(120 + shape.startDelaySeconds);
  const vms = shape.vms.map(
    (vm) =>
      `<primitive id="${vm}" class="ocf" provider="bench" type="Vm">` +
      attributes('instance_attributes', `${vm}-attributes`, {
        start_delay: String(shape.startDelaySeconds),
      }) +
      `<operations><op id="${vm}-start" name="start" interval="0s" timeout="${startTimeout}s"/>` +
      `<op id="${vm}-monitor" name="monitor" interval="10s" timeout="30s"/></operations></primitive>`,
  );
  return (
    `<configuration><crm_config>${attributes('cluster_property_set', 'cib-bootstrap-options', options)}</crm_config>` +
    `<resources>${fence}${vms.join('')}</resources>` +
    `<constraints><rsc_location id="home" rsc-pattern="^vm" node="${shape.victim}" score="100"/>` +
    `<rsc_location id="fence-elsewhere" rsc="fence" node="${shape.victim}" score="-INFINITY"/></constraints></configuration>`
  );
}
