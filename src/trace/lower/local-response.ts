/**
 * Local response normalisation over channels (Krizhevsky, Sutskever, Hinton 2012, section 3.3):
 * y = x n^-beta with n = bias + alpha sum x^2 over the channels at most `depthRadius` away. And its gradient.
 */
import { sizeOf, type Window } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import type { KernelAttributes, LoweringTable } from './lowering.js';

interface Attributes {
  readonly depthRadius: number;
  readonly bias: number;
  readonly alpha: number;
  readonly beta: number;
}

const lrnAttributes = (attributes: KernelAttributes) => attributes as unknown as Attributes;

/** For each channel the sum over its neighbours and itself. */
function neighbours(e: Emitter, x: number, depthRadius: number): number {
  const shape = e.shape(x);
  const channels = shape.at(-1)!;
  const radius = Math.min(depthRadius, channels - 1);
  if (radius === 0 || sizeOf(shape) === 0) return x;
  const rows = [sizeOf(shape.slice(0, -1)), 1, 1, channels, 1];
  const one = [1, 1, 1] as const;
  const window: Window = {
    size: [1, 1, 2 * radius + 1],
    strides: one,
    dilations: one,
    padBefore: [0, 0, radius],
  };
  return e.reshape(e.add({ name: 'windowSum', window }, [e.reshape(x, rows)], rows), shape);
}

function norm(e: Emitter, x: number, { depthRadius, bias, alpha }: Attributes): number {
  const sum = neighbours(e, e.unary('square', x), depthRadius);
  return e.binary('add', e.scalar(bias, 'float32'), e.binary('mul', e.scalar(alpha, 'float32'), sum));
}

export const LOCAL_RESPONSE: LoweringTable = {
  LRN: (e, { x }, attributes) => {
    const a = lrnAttributes(attributes);
    return e.viaFloat(x, (v) =>
      e.binary('mul', v, e.binary('pow', norm(e, v, a), e.scalar(-a.beta, 'float32'))),
    );
  },
  // dx = dy n^-beta - 2 alpha beta x sum(dy y / n) over the neighbours.
  LRNGrad: (e, { x, y, dy }, attributes) => {
    const a = lrnAttributes(attributes);
    const n = norm(e, x, a);
    const direct = e.binary('mul', dy, e.binary('pow', n, e.scalar(-a.beta, 'float32')));
    const shares = neighbours(e, e.binary('div', e.binary('mul', dy, y), n), a.depthRadius);
    const through = e.binary('mul', e.binary('mul', e.scalar(2 * a.alpha * a.beta, 'float32'), x), shares);
    return e.binary('sub', direct, through);
  },
};
