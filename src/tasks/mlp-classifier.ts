/** Training of a small multilayer perceptron, with the settings of its optimizer as outer parameters. */
import * as tf from '@tensorflow/tfjs';
import { momentum } from '../optimizers/momentum.js';
import { applyUpdates } from '../optimizers/transformation.js';
import { checkInteger, checkKeys, checkPositive } from '../options.js';
import { defineUnroll } from '../transform/define.js';
import { shape, type TensorTree } from '../transform/leaf.js';

export interface MlpClassifierOptions {
  readonly features: number;
  readonly classes: number;
  /** Rows of the training data. */
  readonly rows: number;
  /** Rows of the held-out data that the loss is taken on. */
  readonly heldRows: number;
  /** Units of the one hidden layer. Default 32. */
  readonly hidden?: number;
  /** Rows of a minibatch. Default 16. */
  readonly batch?: number;
  /** Steps of a training run. Default 100. */
  readonly horizon?: number;
  /** Steps after which the rate has fallen to 2^-decayExponent of its start. Default horizon / 10. */
  readonly timescale?: number;
}

/** Outputs of a ReLU network, [rows, classes]. */
function logits([w1, b1, w2, b2]: readonly tf.Tensor[], x: tf.Tensor): tf.Tensor {
  return tf.add(tf.matMul(tf.relu(tf.add(tf.matMul(x, w1), b1)), w2), b2);
}

/** Mean cross-entropy against one-hot rows, a scalar. */
function crossEntropy(outputs: tf.Tensor, oneHot: tf.Tensor): tf.Scalar {
  return tf.neg(tf.mean(tf.sum(tf.mul(oneHot, tf.logSoftmax(outputs)), -1)));
}

/**
 * Minibatch SGD with heavy-ball momentum on softmax cross-entropy, features -> hidden -> classes.
 * theta (all scalars, unconstrained): logLearningRate; momentumLogit (momentum = sigmoid of it);
 * logWeightDecay (L2, its exponential clipped to [1e-9, 10]); decayExponent: rate_t = exp(logLearningRate) /
 * (1 + t / timescale)^decayExponent.
 * data: x [rows, features], y [rows, classes] one-hot, heldX, heldY likewise. Minibatches are shared by all
 * particles, initial weights by antithetic pairs. The loss of a step is the cross-entropy of a held-out
 * minibatch after it; metric trainLoss is that of the training minibatch before it.
 * Throws OptionError on a malformed option.
 */
export function mlpClassifier(options: MlpClassifierOptions) {
  const known = ['features', 'classes', 'rows', 'heldRows', 'hidden', 'batch', 'horizon', 'timescale'];
  checkKeys(options, known, 'mlpClassifier');
  const features = checkInteger(options.features, 'features', 1);
  const classes = checkInteger(options.classes, 'classes', 2);
  const rows = checkInteger(options.rows, 'rows', 1);
  const heldRows = checkInteger(options.heldRows, 'heldRows', 1);
  const hidden = checkInteger(options.hidden ?? 32, 'hidden', 1);
  const batch = checkInteger(options.batch ?? 16, 'batch', 1);
  const horizon = checkInteger(options.horizon ?? 100, 'horizon', 1);
  const timescale = checkPositive(options.timescale ?? horizon / 10, 'timescale');
  const pair = { share: 'pair' } as const;
  return defineUnroll({
    horizon,
    theta: {
      logLearningRate: shape(),
      momentumLogit: shape(),
      logWeightDecay: shape(),
      decayExponent: shape(),
    },
    data: {
      x: shape(rows, features),
      y: shape(rows, classes),
      heldX: shape(heldRows, features),
      heldY: shape(heldRows, classes),
    },
    init: ({ rng }) => {
      const weights: tf.Tensor[] = [
        rng.normal([features, hidden], pair).mul(Math.sqrt(2 / features)),
        tf.zeros([hidden]),
        rng.normal([hidden, classes], pair).mul(Math.sqrt(1 / hidden)),
        tf.zeros([classes]),
      ];
      return { weights, optimizer: momentum().init(weights) };
    },
    step: ({ theta, state, t, rng, data }) => {
      const take = (x: tf.Tensor2D, y: tf.Tensor2D, count: number) => {
        const chosen = rng.integers([batch], 0, count);
        return [tf.gather(x, chosen), tf.gather(y, chosen)] as const;
      };
      const { weights } = state;
      const [x, y] = take(data.x, data.y, rows);
      const { value, grads } = tf.valueAndGrads((...w: tf.Tensor[]) => crossEntropy(logits(w, x), y))([
        ...weights,
      ]);
      const weightDecay = tf.clipByValue(tf.exp(theta.logWeightDecay), 1e-9, 10);
      const time = tf.log1p(t.toFloat().div(timescale));
      const optimizer = momentum({
        learningRate: tf.exp(theta.logLearningRate.sub(theta.decayExponent.mul(time))),
        momentum: tf.sigmoid(theta.momentumLogit),
      });
      const decayed = grads.map((g, i) => g.add(weights[i].mul(weightDecay)));
      const update = optimizer.update(decayed, state.optimizer as TensorTree, weights);
      const next = applyUpdates([...weights], update.updates);
      const [heldX, heldY] = take(data.heldX, data.heldY, heldRows);
      return {
        state: { weights: next, optimizer: update.state },
        loss: crossEntropy(logits(next, heldX), heldY),
        metrics: { trainLoss: value },
      };
    },
  });
}
