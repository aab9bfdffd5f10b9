/** Between trees of tensors and the flat lists that differentiation works on: which leaves take part, and what stands for the others. */
import * as tf from '@tensorflow/tfjs';
import { OptionError, ShapeError } from '../errors.js';
import { sizeOf } from '../graph/graph.js';
import { describe } from '../random/philox.js';
import { type FlatTree, flatten, joinPath } from '../trace/structure.js';
import { isArgumentLeaf } from './arguments.js';
import { isFloat, type TensorFunction } from './differentiate.js';

/** What a tangent, cotangent or gradient belongs to. */
interface Typed {
  readonly shape: readonly number[];
  readonly dtype: string;
}

function isTensor(x: unknown): x is tf.Tensor {
  return x instanceof tf.Tensor;
}

function isResultLeaf(x: unknown): x is tf.Tensor | number | boolean {
  return isTensor(x) || typeof x === 'number' || typeof x === 'boolean';
}

/** The tensors of a function's result; a number is a scalar. Throws OptionError naming the path of anything else. */
export function flattenResult(result: unknown, what: string): FlatTree<tf.Tensor> {
  const flat = flatten(result, isResultLeaf, what);
  const leaves = flat.leaves.map((leaf) =>
    isTensor(leaf) ? leaf : tf.scalar(leaf, typeof leaf === 'boolean' ? 'bool' : 'float32'),
  );
  return { paths: flat.paths, leaves, rebuild: flat.rebuild };
}

/** A function of whole arguments, seen as one of the float32 tensors in some of them. */
export interface FunctionView {
  /** The float32 tensors of the chosen arguments. */
  readonly inputs: readonly tf.Tensor[];
  readonly f: TensorFunction;
  /** The structure of the latest result. */
  result(): FlatTree<tf.Tensor>;
  /** All tensors of the chosen arguments. */
  readonly leaves: readonly tf.Tensor[];
  /** Gradients of the chosen arguments, in their structure: zeros where there is none, of the leaf's own dtype where it is not float32. */
  rebuild(gradients: readonly (tf.Tensor | undefined)[]): unknown[];
  /** The chosen arguments with these in place of all their tensors. */
  rebuildAll(leaves: readonly tf.Tensor[]): unknown[];
}

/** Derivatives with zeros for what is missing. */
export function withZeros<T extends Typed>(
  like: readonly T[],
  derivatives: readonly (tf.Tensor | undefined)[],
): tf.Tensor[] {
  return like.map(
    ({ shape, dtype }, i) => derivatives[i] ?? tf.zeros([...shape], dtype as 'float32' | 'int32' | 'bool'),
  );
}

/** `fn` takes the arguments, tensors at their leaves; `chosen` are the indices of those that it is differentiated by. */
export function viewOf(
  fn: (args: unknown[]) => unknown,
  args: readonly unknown[],
  chosen: readonly number[],
  name: string,
): FunctionView {
  const trees = chosen.map((index) => flatten(args[index], isTensor, `argument ${index} of ${name}`));
  const all = trees.flatMap(({ leaves }) => leaves);
  let latest: FlatTree<tf.Tensor> | undefined;
  /** Values for the float32 leaves among all leaves, in the order of the latter. */
  const spread = <T>(values: readonly T[]) => {
    let next = 0;
    return all.map((leaf) => (isFloat(leaf) ? values[next++] : undefined));
  };
  const rebuildAll = (leaves: readonly tf.Tensor[]) => {
    let at = 0;
    return trees.map((tree) => {
      at += tree.leaves.length;
      return tree.rebuild(leaves.slice(at - tree.leaves.length, at));
    });
  };
  return {
    inputs: all.filter(isFloat),
    f: (inputs) => {
      const own = spread(inputs).map((tensor, i) => tensor ?? all[i]);
      const given = args.slice();
      rebuildAll(own).forEach((tree, k) => {
        given[chosen[k]] = tree;
      });
      latest = flattenResult(fn(given), `the result of ${name}`);
      return [...latest.leaves];
    },
    result: () => latest!,
    leaves: all,
    rebuild: (gradients) => rebuildAll(withZeros(all, spread(gradients))),
    rebuildAll,
  };
}

/**
 * Tangents or cotangents given for a structure: what stands at each of its paths; undefined where it is left out or null, and for leaves
 * that are not float32. Throws OptionError on a path that the structure does not have.
 */
export function matchDerivatives(
  paths: readonly string[],
  types: readonly Typed[],
  given: unknown,
  what: string,
): unknown[] {
  const found: unknown[] = paths.map(() => undefined);
  const walk = (value: unknown, path: string): void => {
    if (value === null || value === undefined) return;
    const at = paths.indexOf(path);
    if (at >= 0) {
      if (!isArgumentLeaf(value)) {
        throw new OptionError(
          `${what}${path && ` at "${path}"`} must be a tensor, an array or a number, got ${describe(value)}`,
        );
      }
      if (isFloat(types[at])) found[at] = value;
      return;
    }
    const inside = typeof value === 'object' && !isArgumentLeaf(value);
    const list = Array.isArray(value) && !value.some((item) => Array.isArray(item));
    const known = paths.map((each) => `"${each}"`).join(', ');
    if (path !== '' && !paths.some((each) => each.startsWith(`${path}.`)))
      throw new OptionError(`${what} has no place for "${path}"; it belongs to ${known || 'nothing'}`);
    if (!inside && !list) {
      throw new OptionError(
        `${what}${path && ` at "${path}"`} must have the structure of what it belongs to (${known || 'nothing'}), got ${describe(value)}`,
      );
    }
    for (const [key, child] of Object.entries(value as object)) walk(child, joinPath(path, key));
  };
  walk(given, '');
  return found;
}

/** A derivative in the shape it needs: a scalar fills it, a flat array of the right length is reshaped. Throws ShapeError. */
export function fitted(derivative: tf.Tensor, { shape }: Typed, at: string): tf.Tensor {
  const float = isFloat(derivative) ? derivative : tf.cast(derivative, 'float32');
  if (`${derivative.shape}` === `${shape}`) return float;
  if (derivative.rank === 0) return tf.broadcastTo(float, [...shape]);
  if (derivative.rank === 1 && derivative.size === sizeOf(shape)) return tf.reshape(float, [...shape]);
  throw new ShapeError(`${at} must have shape [${shape.join(', ')}], got [${derivative.shape.join(', ')}]`);
}

/** "the tangent at "0.w" of jvp(f)". */
export function derivativeName(kind: string, path: string, name: string): string {
  return path === '' ? `the ${kind} of ${name}` : `the ${kind} at "${path}" of ${name}`;
}
