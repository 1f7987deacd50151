import type { Route } from '../../client/http/route';

interface Described {
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}
interface Operation {
  readonly operationId?: string;
  readonly responses?: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
  readonly security?: readonly unknown[];
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
}

/** What is wrong with a description of these routes; empty when nothing is. */
export function judgeDescription(document: object, routes: readonly Route[]): string[] {
  const { paths = {} } = document as Described;
  const problems = danglingReferences(document);
  const ids = new Set<string>();
  for (const route of routes) {
    const operation = paths[route.path]?.[route.method];
    const name = `${route.method} ${route.path}`;
    if (operation === undefined) {
      problems.push(`${name} is not described`);
      continue;
    }
    if (operation.operationId === undefined || ids.has(operation.operationId))
      problems.push(`${name} has no name of its own`);
    ids.add(operation.operationId ?? '');
    for (const status of Object.keys(route.answers))
      if (operation.responses?.[status] === undefined)
        problems.push(`${name} may answer ${status}, undescribed`);
    const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
    const described = (operation.parameters ?? []).filter((p) => p.in === 'path').map((p) => p.name);
    if (inPath.join() !== described.join())
      problems.push(`${name} describes the parameters ${described.join()}`);
    const open = route.needs === 'nobody' || route.needs === 'sender';
    if ((operation.security?.length === 0) !== open)
      problems.push(`${name} is described with other guards than it has`);
  }
  return problems;
}

function danglingReferences(document: object): string[] {
  const references = new Set(
    [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref ?? ''),
  );
  return [...references]
    .filter((ref) => {
      let at: unknown = document;
      for (const part of ref.replace(/^#\//, '').split('/'))
        at = (at as Record<string, unknown> | undefined)?.[part];
      return at === undefined;
    })
    .map((ref) => `${ref} leads nowhere`);
}
