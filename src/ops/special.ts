/** Special functions and careful sums that tfjs lacks: on any backend, inside traces, under vmap, with gradients of any order. */
export { erfinv } from './erfinv.js';
export { digamma, lgamma, trigamma } from './gamma.js';
export { type Axes, logSumExp, preciseSum } from './sums.js';
