/** One call of every op that tfjs exports, by the op's name: what the test of all ops walks, and docs/ops.md is made from. */
import * as tf from '@tensorflow/tfjs';
import type { Sample } from './sample.js';
import { ELEMENTWISE_SAMPLES } from './samples-elementwise.js';
import { NETWORK_SAMPLES } from './samples-networks.js';
import { STRUCTURE_SAMPLES } from './samples-structure.js';

export const SAMPLES: Readonly<Record<string, Sample>> = {
  ...ELEMENTWISE_SAMPLES,
  ...STRUCTURE_SAMPLES,
  ...NETWORK_SAMPLES,
};

/** The name that tfjs gives the functions it makes with op(). */
const isOp = (f: unknown) => typeof f === 'function' && f.name.endsWith('__op');

/** All ops that tfjs exports: 'tf.abs', 'tf.linalg.qr'. */
export function exportedOps(): string[] {
  const spaces = Object.entries(tf).filter(
    ([name, value]) =>
      name !== 'default' && typeof value === 'object' && value !== null && Object.values(value).some(isOp),
  );
  return [['tf', tf] as const, ...spaces.map(([name, space]) => [`tf.${name}`, space] as const)].flatMap(
    ([prefix, space]) =>
      Object.entries(space)
        .filter(([, f]) => isOp(f))
        .map(([name]) => `${prefix}.${name}`),
  );
}
