/** Counter-based random numbers: the same bits on every device. */
export * from './distributions.js';
export * from './noise.js';
export {
  checkUint32,
  foldIn,
  MAX_DRAW,
  philox4x32,
  type Seed,
  STREAMS,
  seedHigh,
  streamWord,
  toSeed,
} from './philox.js';
