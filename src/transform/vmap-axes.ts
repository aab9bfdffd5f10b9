/** Which axis of each argument, and of each result, is the batch axis. */
import { OptionError, ShapeError } from '../errors.js';
import type { Shape } from '../graph/graph.js';
import { describe } from '../random/philox.js';
import { joinPath } from '../trace/structure.js';
import { isArgumentLeaf } from './arguments.js';

/**
 * An axis, null (the same for all members of the batch), or a structure of these: matching the arguments, down to any depth. One axis stands
 * for all leaves below it.
 */
export type AxisTree = number | null | readonly AxisTree[] | { readonly [name: string]: AxisTree };

/** How a structure and a leaf of it are called in messages. */
export type Naming = (path: string) => string;

/** The axis of each leaf of `value`, in order. Throws OptionError where `axes` does not match. */
export function axesOfLeaves(
  axes: unknown,
  value: unknown,
  isLeaf: (x: unknown) => boolean,
  named: Naming,
  option: string,
): (number | null)[] {
  const walk = (tree: unknown, x: unknown, path: string): (number | null)[] => {
    const single = tree === null || typeof tree === 'number';
    if (isLeaf(x)) {
      if (single) return [tree];
      throw new OptionError(
        `${option}: ${named(path)} is one tensor and needs an axis or null, got ${describe(tree)}`,
      );
    }
    const names = Object.keys(x as object);
    if (!single) matchNames(tree, x, names, named(path), option);
    return names.flatMap((name) =>
      walk(
        single ? tree : (tree as Record<string, unknown>)[name],
        (x as Record<string, unknown>)[name],
        joinPath(path, name),
      ),
    );
  };
  return walk(axes, value, '');
}

function matchNames(tree: unknown, x: unknown, names: readonly string[], at: string, option: string): void {
  const wanted = Array.isArray(x) ? `an array of ${names.length}` : `an object with ${names.join(', ')}`;
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree) !== Array.isArray(x)) {
    throw new OptionError(`${option}: ${at} needs an axis, null or ${wanted}, got ${describe(tree)}`);
  }
  const given = Object.keys(tree);
  const odd = given.find((name) => !names.includes(name)) ?? names.find((name) => !given.includes(name));
  if (odd !== undefined) throw new OptionError(`${option}: ${at} needs ${wanted}; "${odd}" does not match`);
}

/** `axes` as one entry per argument. With one argument it may be given alone, or as a list of one. */
export function axesPerArgument(axes: unknown, args: readonly unknown[], name: string): unknown[] {
  if (axes === null || typeof axes === 'number') return args.map(() => axes);
  if (args.length === 1) {
    const [arg] = args;
    const listOfOne =
      Array.isArray(axes) && axes.length === 1 && (isArgumentLeaf(arg) || !Array.isArray(arg));
    return listOfOne ? [axes[0]] : [axes];
  }
  if (!Array.isArray(axes) || axes.length !== args.length) {
    throw new OptionError(
      `${name}: axes must be an axis, null, or an array of ${args.length}, one for each argument, got ${describe(axes)}`,
    );
  }
  return axes;
}

/** An axis of a tensor of this rank, counted from 0. Throws OptionError when there is none. */
export function checkAxis(axis: number, rank: number, at: string): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    const range = rank === 0 ? 'it is a scalar: give it null' : `${-rank}..${rank - 1} are possible`;
    throw new OptionError(`${at} has no axis ${describe(axis)}; ${range}`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** One leaf that is mapped over. */
export interface MappedLeaf {
  readonly name: string;
  readonly axis: number;
  readonly shape: Shape;
}

/** The batch size that all mapped leaves share. Throws ShapeError naming two that differ. */
export function batchSize(leaves: readonly MappedLeaf[]): number {
  const [first] = leaves;
  const size = first.shape[first.axis];
  const other = leaves.find(({ shape, axis }) => shape[axis] !== size);
  if (other) {
    throw new ShapeError(
      `the batch axes must have one size: ${first.name} has ${size} (axis ${first.axis} of [${first.shape}]), ${other.name} has ${other.shape[other.axis]} (axis ${other.axis} of [${other.shape}])`,
    );
  }
  return size;
}
