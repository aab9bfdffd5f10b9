/**
 * Donated arguments: memory that the caller gives up, so that outputs can be written over it.
 *
 * A typed array is overwritten and returned. The storage of a tensor is overwritten only where nobody else can be holding it: it was made
 * by a compiled function, and no other tensor shares it; the tensor itself is disposed of either way.
 */
import * as tf from '@tensorflow/tfjs';
import type { FunctionSpec, LeafSpec } from '../device/driver.js';
import type { TypedArray } from '../graph/graph.js';
import type { ArgumentLeaf } from './arguments.js';

/** Arrays behind tensors that compiled functions with donations have made. */
const ours = new WeakSet<TypedArray>();

const typeOf = ({ shape, dtype }: LeafSpec) => `${dtype}${shape}`;

/** The last part of a path: 'w' of '0.layer.w'. */
const tail = (path: string) => path.slice(path.indexOf('.') + 1);

/**
 * Each donated input with the output that takes its place: of the same shape and dtype, of the same path where there is one (argument 0 at
 * "w" and the output "w" or "params.w"), else the first that is left.
 */
export function donationPairs(
  donated: readonly number[],
  inputs: readonly LeafSpec[],
  outputs: readonly LeafSpec[],
): [input: number, output: number][] {
  const free = new Set(outputs.keys());
  const pairs: [number, number][] = [];
  const claim = (input: number, fits: (output: LeafSpec, input: LeafSpec) => boolean) => {
    const output = [...free].find(
      (k) => typeOf(outputs[k]) === typeOf(inputs[input]) && fits(outputs[k], inputs[input]),
    );
    if (output === undefined) return false;
    free.delete(output);
    pairs.push([input, output]);
    return true;
  };
  const named = (output: LeafSpec, input: LeafSpec) =>
    output.path === tail(input.path) || output.path.endsWith(`.${tail(input.path)}`);
  const rest = donated.filter((input) => !claim(input, named));
  for (const input of rest) claim(input, () => true);
  return pairs;
}

function overlap(a: TypedArray, b: TypedArray): boolean {
  return (
    a.buffer === b.buffer &&
    a.byteOffset < b.byteOffset + b.byteLength &&
    b.byteOffset < a.byteOffset + a.byteLength
  );
}

function isSole(tensor: tf.Tensor): boolean {
  const backend = tf.engine().backend as { refCount?(dataId: object): number };
  return backend.refCount?.(tensor.dataId) === 1;
}

/** The donations of one call. */
export class Donation {
  /** What the device is to write to, by output. */
  readonly into: (TypedArray | undefined)[] = [];
  /** Typed arrays that are read elsewhere too, and are filled when that is over. */
  readonly #later: (TypedArray | undefined)[] = [];
  readonly #tensors: tf.Tensor[];

  /** Takes the inputs of a call, and puts copies in place of those that must not be written over. */
  constructor(
    donated: readonly number[],
    leaves: readonly ArgumentLeaf[],
    inputs: TypedArray[],
    { donations = [] }: FunctionSpec,
  ) {
    this.#tensors = donated
      .map((i) => leaves[i])
      .filter((leaf): leaf is tf.Tensor => leaf instanceof tf.Tensor);
    const given = inputs.slice();
    for (const [input, output] of donations) {
      const leaf = leaves[input];
      const array = given[input];
      const isTensor = leaf instanceof tf.Tensor;
      const alone = given.every((other, k) => k === input || !overlap(array, other));
      if (alone && (!isTensor || (ours.has(array) && isSole(leaf)))) {
        this.into[output] = array;
        continue;
      }
      inputs[input] = array.slice();
      this.into[output] = inputs[input];
      // A number or a nested array has no memory to be given back.
      if ((leaf as unknown) === array) this.#later[output] = array;
    }
  }

  /** The results, each in the array that it belongs in; donated tensors are gone. */
  settle(results: TypedArray[]): TypedArray[] {
    for (const tensor of this.#tensors) tensor.dispose();
    return results.map((values, i) => {
      const array = this.#later[i];
      array?.set(values);
      return array ?? values;
    });
  }

  /** Results that became tensors: their storage is ours to reuse. */
  own(values: readonly TypedArray[]): void {
    for (const array of values) ours.add(array);
  }
}
