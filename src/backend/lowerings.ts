/** Lowerings that differ from those of the trace, because values are there: numbers of the call, and shapes that values decide. */
import { leakyRelu } from '../trace/lower/elementwise.js';
import { sparseSegmentMean, sparseSegmentSum } from '../trace/lower/scatter.js';
import type { EagerLowering } from './programs.js';

export interface EagerKernel {
  readonly lower: EagerLowering;
  readonly scalars: readonly string[];
  /** Only where x is float32; other dtypes take the lowering of the trace. */
  readonly floatsOnly: boolean;
}

const numSegments = (attributes: object): number => (attributes as { numSegments: number }).numSegments;

export const EAGER: Readonly<Partial<Record<string, EagerKernel>>> = {
  // x > max ? max : x < min ? min : x, which leaves NaN as it is.
  ClipByValue: {
    scalars: ['clipValueMin', 'clipValueMax'],
    floatsOnly: true,
    lower: (e, { x }, _, [min, max]) =>
      e.select(e.binary('greater', x, max), max, e.select(e.binary('less', x, min), min, x)),
  },
  LeakyRelu: {
    scalars: ['alpha'],
    floatsOnly: true,
    lower: (e, { x }, _, [alpha]) => leakyRelu(e, x, alpha),
  },
  // NaN stays NaN.
  Step: {
    scalars: ['alpha'],
    floatsOnly: true,
    lower: (e, { x }, _, [alpha]) => {
      const one = e.scalar(1, 'float32');
      const stepped = e.select(e.binary('greater', x, e.scalar(0, 'float32')), one, alpha);
      return e.select(e.unary('isNan', x), x, stepped);
    },
  },
  SparseSegmentSum: {
    scalars: [],
    floatsOnly: false,
    lower: (e, inputs, attributes) => sparseSegmentSum(e, inputs, numSegments(attributes)),
  },
  SparseSegmentMean: {
    scalars: [],
    floatsOnly: false,
    lower: (e, inputs, attributes) => sparseSegmentMean(e, inputs, numSegments(attributes)),
  },
};
