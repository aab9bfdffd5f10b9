/**
 * The layers of tf.layers that draw random numbers in training, with an rng of a trace in place of tfjs's own draws, and those that carry
 * state from call to call.
 */
import * as tf from '@tensorflow/tfjs';
import { OptionError } from '../errors.js';
import type { Rng } from '../trace/rng.js';

/** The parts of layers and recurrent cells that are looked at here. */
export interface LayerParts {
  readonly name: string;
  readonly stateful?: boolean;
  readonly rate?: number;
  readonly stddev?: number;
  readonly dropout?: number;
  readonly recurrentDropout?: number;
  readonly layers?: readonly LayerParts[];
  readonly layer?: LayerParts;
  readonly forwardLayer?: LayerParts;
  readonly backwardLayer?: LayerParts;
  readonly cell?: LayerParts;
  readonly cells?: readonly LayerParts[];
  noiseShape?: readonly number[];
  getNoiseShape?(input: tf.Tensor): number[] | null | undefined;
  getClassName(): string;
  call?: (inputs: tf.Tensor | tf.Tensor[], kwargs: object) => tf.Tensor | tf.Tensor[];
  dropoutFunc?: (x: tf.Tensor, rate: number) => tf.Tensor;
  dropoutMask?: unknown;
  recurrentDropoutMask?: unknown;
}

/** All layers of a model, those in nested models and wrappers, and recurrent cells; each once. */
export function layersOf(model: tf.LayersModel): LayerParts[] {
  const found = new Set<LayerParts>();
  const visit = (part: LayerParts | undefined) => {
    if (!part || found.has(part)) return;
    found.add(part);
    for (const inner of part.layers ?? []) visit(inner);
    for (const inner of part.cells ?? []) visit(inner);
    for (const inner of [part.layer, part.forwardLayer, part.backwardLayer, part.cell]) visit(inner);
  };
  for (const layer of model.layers as unknown as LayerParts[]) visit(layer);
  return [...found];
}

/** Throws OptionError for a layer whose state would pass from call to call. */
export function refuseStateful(layers: readonly LayerParts[]): void {
  const layer = layers.find(({ stateful }) => stateful === true);
  if (layer) {
    throw new OptionError(
      `the layer "${layer.name}" is stateful: a pure function cannot carry its state from call to call; build it with stateful: false`,
    );
  }
}

type Noise = (layer: LayerParts, x: tf.Tensor, rng: Rng) => tf.Tensor;

const between = (rate: number | undefined): rate is number => rate !== undefined && rate > 0 && rate < 1;

/** Dropout: an element is kept with probability 1 - rate, and then divided by it. */
function dropped(x: tf.Tensor, rate: number, shape: readonly number[], rng: Rng): tf.Tensor {
  const mask = tf.cast(rng.bernoulli(shape, 1 - rate, { share: 'particle' }), 'float32');
  return tf.mul(x, tf.div(mask, 1 - rate));
}

const dropout: Noise = (layer, x, rng) =>
  dropped(x, layer.rate as number, layer.getNoiseShape?.(x) ?? x.shape, rng);

// Klambauer et al. 2017 (arXiv 1706.02515), section "New dropout technique": the fixed point's alpha and scale.
const SELU_LIMIT = -1.6732632423543772 * 1.0507009873554805;

const alphaDropout: Noise = (layer, x, rng) => {
  const rate = layer.rate as number;
  const keep = tf.cast(
    rng.bernoulli(layer.noiseShape ?? x.shape, 1 - rate, { share: 'particle' }),
    'float32',
  );
  const a = ((1 - rate) * (1 + rate * SELU_LIMIT ** 2)) ** -0.5;
  const b = -a * SELU_LIMIT * rate;
  const masked = tf.add(tf.mul(x, keep), tf.mul(tf.sub(1, keep), SELU_LIMIT));
  return tf.add(tf.mul(masked, a), b);
};

/** By class name; what the layer does to its input in training. */
const NOISE: Readonly<Record<string, Noise>> = {
  Dropout: dropout,
  SpatialDropout1D: dropout,
  AlphaDropout: alphaDropout,
  GaussianNoise: (layer, x, rng) =>
    tf.add(x, tf.mul(rng.normal(x.shape, { share: 'particle' }), layer.stddev as number)),
  GaussianDropout: (layer, x, rng) => {
    const rate = layer.rate as number;
    const noise = tf.mul(rng.normal(x.shape, { share: 'particle' }), Math.sqrt(rate / (1 - rate)));
    return tf.mul(x, tf.add(noise, 1));
  },
};

/** Whether a layer draws in training. */
export function isNoisy(layer: LayerParts): boolean {
  const name = layer.getClassName();
  if (name === 'GaussianNoise') return true;
  return (name in NOISE && between(layer.rate)) || between(layer.dropout) || between(layer.recurrentDropout);
}

/** Runs `f` with the layers' draws made by `rng`, and recurrent cells without masks of an earlier call; all is put back afterwards. */
export function withNoise<T>(layers: readonly LayerParts[], rng: Rng | undefined, f: () => T): T {
  const undo: (() => void)[] = [];
  try {
    for (const layer of layers) {
      if ('dropoutMask' in layer) {
        const { dropoutMask, recurrentDropoutMask, dropoutFunc } = layer;
        undo.push(() => Object.assign(layer, { dropoutMask, recurrentDropoutMask, dropoutFunc }));
        Object.assign(layer, { dropoutMask: null, recurrentDropoutMask: null });
        if (rng) layer.dropoutFunc = (x, rate) => dropped(x, rate, x.shape, rng);
      }
      const noise = NOISE[layer.getClassName()] as Noise | undefined;
      if (!noise || !rng || !isNoisy(layer)) continue;
      const { call } = layer;
      layer.call = (inputs, kwargs) => {
        if (!(kwargs as { training?: boolean }).training) return call!.call(layer, inputs, kwargs);
        return noise(layer, Array.isArray(inputs) ? inputs[0] : inputs, rng);
      };
      undo.push(() => {
        // The class's own method again.
        delete layer.call;
      });
    }
    return f();
  } finally {
    for (const step of undo) step();
  }
}
