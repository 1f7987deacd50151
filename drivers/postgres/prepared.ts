import type { Db } from './connection';

/**
 * A statement that is built once per connection instead of once per call. Building costs Node ten times what sending does (0.6 against
 * 0.06 ms, measured), and a storm of restarts sends some fifteen statements per VM on the processor that the workflows need.
 *
 * `build` ends in `.prepare(name)`; the name is the server's too, so it is used once in this folder.
 */
export function prepared<T>(build: (db: Db) => T): (db: Db) => T {
  const built = new WeakMap<Db, T>();
  return (db) => {
    let statement = built.get(db);
    if (statement === undefined) {
      statement = build(db);
      built.set(db, statement);
    }
    return statement;
  };
}
