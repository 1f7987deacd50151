/**
 * A session with one vCenter: it logs in when first needed, and once more when a read finds that it has ended. An act never is repeated:
 * one that meets an ended session was not carried out, and that is its caller's to find out.
 *
 * INVARIANTS:
 * - Many readers that meet one expiry together make one login.
 * - A property that was asked for and withheld is an error. An empty answer is one only when nothing was withheld.
 */
import { isFault, NoAnswer, NoPassword, type VimFault, Withheld } from './errors';
import { type ObjectProperties, objectOf, type Properties, propertySpec, traversed } from './properties';
import { Transport, type TransportOptions } from './transport';
import {
  child,
  children,
  group,
  leaf,
  type MoRef,
  type Part,
  reference,
  refAt,
  refOf,
  textAt,
  type XmlNode,
} from './xml';

export interface SessionOptions extends TransportOptions {
  readonly username: string;
  /** Read at each login: correcting the secret is enough. */
  readonly password: () => string;
  /** For a call that has no deadline of its own. */
  readonly deadlineMs?: number;
}

/** What a vCenter says of itself, and where its services are. */
export interface ServiceContent {
  readonly instanceUuid: string;
  readonly name: string;
  readonly version: string;
  readonly build: string;
  readonly apiVersion: string;
  readonly apiType: string;
  ref(name: string): MoRef;
}

export interface AskOptions {
  readonly signal?: AbortSignal | undefined;
  readonly deadlineMs?: number | undefined;
  readonly operationId?: string | undefined;
}

const serviceInstance: MoRef = { type: 'ServiceInstance', value: 'ServiceInstance' };
const defaultDeadlineMs = 20_000;
/** An account is locked after five refusals in three minutes by default: a refused password is not sent again so soon. */
const refusalRestMs = 300_000;

export class Session {
  private readonly transport: Transport;
  private cookie: string | undefined;
  private known: ServiceContent | undefined;
  private loggedInAs: string | undefined;
  private loggingIn: Promise<ServiceContent> | undefined;
  private refused: { readonly password: string; readonly at: number; readonly fault: VimFault } | undefined;

  constructor(private readonly options: SessionOptions) {
    this.transport = new Transport(options);
  }

  /** Logs in unless that is done. */
  async content(signal?: AbortSignal): Promise<ServiceContent> {
    return this.known ?? this.login(signal);
  }

  /** A read: asked again, once, after a new login when the session turns out to have ended. */
  async read(method: string, target: MoRef, parts: Part, options: AskOptions = {}): Promise<XmlNode> {
    return this.reading(options.signal, () => this.ask(method, target, parts, options));
  }

  /** An act: sent once, whatever becomes of it. */
  async act(method: string, target: MoRef, parts: Part, options: AskOptions = {}): Promise<XmlNode> {
    await this.content(options.signal);
    return this.ask(method, target, parts, options);
  }

  /** An act that makes a task. No task in the answer is no answer. */
  async submit(method: string, target: MoRef, parts: Part, options: AskOptions = {}): Promise<MoRef> {
    const task = refAt(await this.act(method, target, parts, options), 'returnval');
    if (task === undefined) throw new NoAnswer(method, true, 'it names no task');
    return task;
  }

  /** As `submit`, for tasks that only read: asked again after a new login. */
  async submitRead(method: string, target: MoRef, parts: Part, options: AskOptions = {}): Promise<MoRef> {
    return this.reading(options.signal, () => this.submit(method, target, parts, options));
  }

  /** Repeats `work`, which must only read, once after a new login when the session it began with has ended. */
  async reading<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    await this.content(signal);
    const used = this.cookie;
    try {
      return await work();
    } catch (error) {
      const ended = isFault(error, 'NotAuthenticated') || (error instanceof Withheld && error.expired);
      if (!ended) throw error;
      await this.renew(used, signal);
      return work();
    }
  }

  /** A new login, unless somebody else has made one since `used` was the session's. */
  async renew(used: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    if (this.cookie === used || this.loggingIn !== undefined) await this.login(signal);
  }

  /** As the server calls the user that is logged in, which is how its tasks name who started them. */
  get user(): string {
    return this.loggedInAs ?? this.options.username;
  }

  /** Names the present session, for `renew`. */
  get token(): string | undefined {
    return this.cookie;
  }

  /** These properties of these objects. What is unset is absent; what was withheld is an error. */
  async retrieve(
    refs: readonly MoRef[],
    paths: readonly string[],
    options: AskOptions = {},
  ): Promise<ObjectProperties[]> {
    if (refs.length === 0) return [];
    const types = [...new Set(refs.map((r) => r.type))];
    const spec = group('specSet', [
      types.map((type) => propertySpec(type, paths)),
      refs.map((ref) => group('objectSet', [reference('obj', ref), leaf('skip', false)])),
    ]);
    return this.reading(options.signal, () => this.collect(spec, options));
  }

  async retrieveOne(ref: MoRef, paths: readonly string[], options: AskOptions = {}): Promise<Properties> {
    const [only] = await this.retrieve([ref], paths, options);
    if (only === undefined)
      throw new NoAnswer('RetrievePropertiesEx', true, `nothing was said of ${ref.value}`);
    return only.properties;
  }

  /** Every object of the type below the container (the whole inventory by default). Pages are followed to the end. */
  async all(
    type: string,
    paths: readonly string[],
    container?: MoRef,
    options: AskOptions = {},
  ): Promise<ObjectProperties[]> {
    return this.reading(options.signal, async () => {
      const content = await this.content(options.signal);
      const made = await this.ask(
        'CreateContainerView',
        content.ref('viewManager'),
        [
          reference('container', container ?? content.ref('rootFolder')),
          leaf('type', type),
          leaf('recursive', true),
        ],
        options,
      );
      const view = refAt(made, 'returnval');
      if (view === undefined) throw new NoAnswer('CreateContainerView', true, 'it names no view');
      try {
        return await this.collect(
          group('specSet', [propertySpec(type, paths), traversed(view, 'ContainerView', 'view')]),
          options,
        );
      } finally {
        // Left behind it dies with the session.
        await this.ask('DestroyView', view, []).catch(() => undefined);
      }
    });
  }

  /** Objects that `from` names in the property, with properties of theirs. */
  async behind(
    from: MoRef,
    property: string,
    type: string,
    paths: readonly string[],
    options: AskOptions = {},
  ): Promise<ObjectProperties[]> {
    const spec = group('specSet', [propertySpec(type, paths), traversed(from, from.type, property)]);
    return this.reading(options.signal, () => this.collect(spec, options));
  }

  /** Reads what every user may read. Only after it may "not found" be believed. */
  async sentinel(signal?: AbortSignal): Promise<void> {
    await this.retrieveOne((await this.content(signal)).ref('rootFolder'), ['name'], { signal });
  }

  async close(): Promise<void> {
    if (this.cookie !== undefined && this.known !== undefined)
      // It would expire by itself; the vCenter is spared one idle session.
      await this.ask('Logout', this.known.ref('sessionManager'), [], { deadlineMs: 2_000 }).catch(
        () => undefined,
      );
    await this.transport.close();
  }

  private login(signal: AbortSignal | undefined): Promise<ServiceContent> {
    this.loggingIn ??= this.logInNow().finally(() => (this.loggingIn = undefined));
    return untilAborted(this.loggingIn, signal);
  }

  private async logInNow(): Promise<ServiceContent> {
    const password = this.password();
    if (this.refused?.password === password && Date.now() - this.refused.at < refusalRestMs)
      throw this.refused.fault;
    // On a live session Login is refused as InvalidLogin.
    this.cookie = undefined;
    const read = await this.bare('RetrieveServiceContent', serviceInstance, []);
    const content = contentOf(child(read, 'returnval'));
    try {
      const login = await this.bare('Login', content.ref('sessionManager'), [
        leaf('userName', this.options.username),
        leaf('password', password),
      ]);
      this.loggedInAs = textAt(login, 'returnval', 'userName');
    } catch (error) {
      if (isFault(error, 'InvalidLogin')) this.refused = { password, at: Date.now(), fault: error };
      throw error;
    }
    this.known = content;
    return content;
  }

  private password(): string {
    try {
      return this.options.password();
    } catch (error) {
      throw new NoPassword(error);
    }
  }

  private async ask(method: string, target: MoRef, parts: Part, options: AskOptions = {}): Promise<XmlNode> {
    // A call on a session that is being renewed is bound to be refused.
    await this.loggingIn;
    return this.bare(method, target, parts, options);
  }

  private async bare(method: string, target: MoRef, parts: Part, options: AskOptions = {}): Promise<XmlNode> {
    const deadlineMs = options.deadlineMs ?? this.options.deadlineMs ?? defaultDeadlineMs;
    const { body, cookie } = await this.transport.call(method, target, parts, {
      ...{ deadlineMs, signal: options.signal, operationId: options.operationId, cookie: this.cookie },
    });
    if (cookie !== undefined) this.cookie = cookie;
    return body;
  }

  private async collect(specSet: string, options: AskOptions): Promise<ObjectProperties[]> {
    const collector = (await this.content(options.signal)).ref('propertyCollector');
    const found: ObjectProperties[] = [];
    const missing: { obj: MoRef; path: string; fault: string }[] = [];
    let page = await this.ask('RetrievePropertiesEx', collector, [specSet, group('options', [])], options);
    for (;;) {
      for (const object of children(child(page, 'returnval'), 'objects')) {
        const read = objectOf(object);
        found.push(read.object);
        missing.push(...read.missing);
      }
      const token = textAt(page, 'returnval', 'token');
      if (token === undefined || token === '') break;
      page = await this.ask('ContinueRetrievePropertiesEx', collector, [leaf('token', token)], options);
    }
    if (missing.length > 0) throw new Withheld('RetrievePropertiesEx', missing);
    return found;
  }
}

function contentOf(node: XmlNode | undefined): ServiceContent {
  const about = (name: string): string => textAt(node, 'about', name) ?? '';
  return {
    instanceUuid: about('instanceUuid'),
    name: about('fullName'),
    version: about('version'),
    build: about('build'),
    apiVersion: about('apiVersion'),
    apiType: about('apiType'),
    ref(name) {
      const found = refOf(child(node, name));
      if (found === undefined) throw new NoAnswer('RetrieveServiceContent', true, `it has no ${name}`);
      return found;
    },
  };
}

/** The work goes on for whoever else waits for it. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const aborted = (): void => reject(new NoAnswer('Login', false, 'its caller gave up'));
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
