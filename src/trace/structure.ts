/**
 * Nested plain objects and arrays ("trees") and their flat form: a list of leaves with dotted paths such as "layers.0.w".
 *
 * State, theta, data and the results of user functions all pass through here, so that what is a legal structure, and how a
 * leaf is named in every message, is decided in one place.
 */
import { OptionError } from '../errors.js';

/** A nested structure whose leaves are of type L. */
export type Tree<L> = L | readonly Tree<L>[] | { readonly [key: string]: Tree<L> };

export interface FlatTree<L> {
  /** One per leaf, in the order of `leaves`; the path of a tree that is itself a leaf is ''. */
  readonly paths: readonly string[];
  readonly leaves: readonly L[];
  /** A tree of the same structure around other leaves, given in the same order. */
  rebuild<M>(leaves: readonly M[]): Tree<M>;
}

type Skeleton =
  | { readonly kind: 'leaf' }
  | { readonly kind: 'array'; readonly items: readonly Skeleton[] }
  | { readonly kind: 'object'; readonly entries: readonly (readonly [string, Skeleton])[] };

/** `a` and `b` become "a.b"; an empty prefix is left out. */
export function joinPath(prefix: string, key: string | number): string {
  return prefix === '' ? String(key) : `${prefix}.${key}`;
}

function isPlainObject(x: unknown): x is Record<string, unknown> {
  if (typeof x !== 'object' || x === null) return false;
  const prototype: unknown = Object.getPrototypeOf(x);
  // An object of another realm (vm, worker, jest) has its own Object.prototype, whose prototype is null as well.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function describe(x: unknown): string {
  if (x === null || x === undefined) return String(x);
  if (typeof x === 'function') return 'a function';
  if (typeof x !== 'object') return `the ${typeof x} ${String(x)}`;
  const name: unknown = (x as { constructor?: { name?: unknown } }).constructor?.name;
  return `an instance of ${typeof name === 'string' && name ? name : 'an unnamed class'}`;
}

/**
 * Flattens `tree`, arrays by index and objects in the order of their keys.
 *
 * @param isLeaf decides first, before anything is taken for a container
 * @param what names the tree in errors ("state", "the result of step")
 * @throws OptionError naming the path of a value that is neither a leaf, an array nor a plain object (undefined, Map, class
 *   instance, ...), of a cycle, or of a key that holds a dot
 */
export function flatten<L>(
  tree: unknown,
  isLeaf: (x: unknown) => x is L,
  what = 'the structure',
): FlatTree<L> {
  const paths: string[] = [];
  const leaves: L[] = [];
  const open = new Set<unknown>();
  const at = (path: string) => (path === '' ? what : `"${path}" in ${what}`);

  const visit = (x: unknown, path: string): Skeleton => {
    if (isLeaf(x)) {
      paths.push(path);
      leaves.push(x);
      return { kind: 'leaf' };
    }
    const array = Array.isArray(x);
    if (!array && !isPlainObject(x)) {
      throw new OptionError(
        `${at(path)} is ${describe(x)}; wanted a leaf value, an array or a plain object${
          x === undefined ? ' (leave the key out if there is no value)' : ''
        }`,
      );
    }
    if (open.has(x)) throw new OptionError(`${at(path)} contains itself; a structure must not have cycles`);
    open.add(x);
    const result: Skeleton = array
      ? { kind: 'array', items: Array.from(x, (item, i) => visit(item, joinPath(path, i))) }
      : { kind: 'object', entries: Object.keys(x).map((key) => [key, visit(x[key], keyPath(path, key))]) };
    open.delete(x);
    return result;
  };
  const keyPath = (path: string, key: string): string => {
    if (key === '' || key.includes('.')) {
      throw new OptionError(
        `the key "${key}" of ${at(path)} cannot be used: keys must not be empty or hold a dot`,
      );
    }
    return joinPath(path, key);
  };

  const skeleton = visit(tree, '');
  return {
    paths,
    leaves,
    rebuild: <M>(others: readonly M[]) => rebuildFrom(skeleton, leaves.length, others),
  };
}

function rebuildFrom<M>(skeleton: Skeleton, count: number, leaves: readonly M[]): Tree<M> {
  if (leaves.length !== count) {
    throw new OptionError(`wanted ${count} leaves to rebuild the structure, got ${leaves.length}`);
  }
  let next = 0;
  const build = (s: Skeleton): Tree<M> => {
    if (s.kind === 'leaf') return leaves[next++] as M;
    if (s.kind === 'array') return s.items.map(build);
    // defineProperty, so that a key such as "__proto__" stays data.
    const result: { [key: string]: Tree<M> } = {};
    for (const [key, child] of s.entries) {
      Object.defineProperty(result, key, {
        value: build(child),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    }
    return result;
  };
  return build(skeleton);
}
