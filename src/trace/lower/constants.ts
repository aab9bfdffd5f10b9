/** Values that are known while tracing: constants, and what a lowering may look through. */
import { sizeOf } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';

/** The values of a constant node (a splat is a broadcast scalar), row-major; undefined for anything else. */
export function constantValues(e: Emitter, x: number): ArrayLike<number> | undefined {
  const { op, inputs, shape } = e.builder.node(x);
  switch (op.name) {
    case 'constant':
      return op.values;
    case 'reshape':
      return constantValues(e, inputs[0]!);
    case 'broadcastTo': {
      const source = constantValues(e, inputs[0]!);
      return source?.length === 1 ? new Array<number>(sizeOf(shape)).fill(source[0]!) : undefined;
    }
    default:
      return undefined;
  }
}

/** Whether every element is known to be 0, seen through what moves values about. */
export function isZero(e: Emitter, x: number): boolean {
  const { op, inputs } = e.builder.node(x);
  switch (op.name) {
    case 'constant':
      return op.values.every((v) => v === 0);
    case 'pad':
      return op.value === 0 && isZero(e, inputs[0]!);
    case 'reshape':
    case 'broadcastTo':
    case 'slice':
    case 'transpose':
    case 'concat':
    case 'cast':
      return inputs.every((input) => isZero(e, input));
    default:
      return false;
  }
}
