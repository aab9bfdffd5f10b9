/**
 * Convolutions and pooling over windows (see `Window` in graph/graph.ts) as ops with gradients: recorded as core ops in a trace, else made of tfjs
 * ops. Each of the three convolutions is the derivative of the other two, so that derivatives of any order are convolutions again.
 */
import * as tf from '@tensorflow/tfjs';
import type { Op, Shape, Window } from '../graph/graph.js';
import { activeTrace } from '../trace/active.js';
import { customOp, recordOp } from '../trace/custom-op.js';
import {
  convByWindows,
  convFilterGradByWindows,
  convInputGradByWindows,
  windowMaxByWindows,
  windowMaxGradByWindows,
  windowMaxPickByWindows,
  windowSumByWindows,
  windowSumGradByWindows,
} from './window-tensors.js';

/** How a convolution goes over its image. */
export interface ConvForm {
  readonly window: Window;
  readonly depthwise: boolean;
}

function convOp(name: 'conv' | 'convInputGrad' | 'convFilterGrad', { window, depthwise }: ConvForm): Op {
  return { name, window, depthwise };
}

/** The core op in a trace, else `eagerly`. */
function either(op: Op, inputs: readonly tf.Tensor[], shape: Shape, eagerly: () => tf.Tensor): tf.Tensor {
  return activeTrace() ? recordOp(op, inputs, { shape }) : tf.tidy(eagerly);
}

/** x [N, D, H, W, C], filter -> y of `shape`. */
export function conv(x: tf.Tensor, filter: tf.Tensor, form: ConvForm, shape: Shape): tf.Tensor {
  return customOp(
    [x, filter],
    () => [either(convOp('conv', form), [x, filter], shape, () => convByWindows(x, filter, form, shape))],
    ([dy], [savedX, savedFilter]) => [
      convInputGrad(dy, savedFilter, form, savedX.shape),
      convFilterGrad(savedX, dy, form, savedFilter.shape),
    ],
  )[0];
}

/** dy, filter -> dx of `shape`. */
export function convInputGrad(dy: tf.Tensor, filter: tf.Tensor, form: ConvForm, shape: Shape): tf.Tensor {
  return customOp(
    [dy, filter],
    () => [
      either(convOp('convInputGrad', form), [dy, filter], shape, () =>
        convInputGradByWindows(dy, filter, form, shape),
      ),
    ],
    ([u], [savedDy, savedFilter]) => [
      conv(u, savedFilter, form, savedDy.shape),
      convFilterGrad(u, savedDy, form, savedFilter.shape),
    ],
  )[0];
}

/** x, dy -> dfilter of `shape`. */
export function convFilterGrad(x: tf.Tensor, dy: tf.Tensor, form: ConvForm, shape: Shape): tf.Tensor {
  return customOp(
    [x, dy],
    () => [
      either(convOp('convFilterGrad', form), [x, dy], shape, () =>
        convFilterGradByWindows(x, dy, form, shape),
      ),
    ],
    ([u], [savedX, savedDy]) => [
      convInputGrad(savedDy, u, form, savedX.shape),
      conv(savedX, u, form, savedDy.shape),
    ],
  )[0];
}

/** x -> sums over windows, of `shape`. */
export function windowSum(x: tf.Tensor, window: Window, shape: Shape): tf.Tensor {
  return customOp(
    [x],
    () => [either({ name: 'windowSum', window }, [x], shape, () => windowSumByWindows(x, window, shape))],
    ([dy], [savedX]) => [windowSumGrad(dy, window, savedX.shape)],
  )[0];
}

/** dy -> dx of `shape`. */
export function windowSumGrad(dy: tf.Tensor, window: Window, shape: Shape): tf.Tensor {
  return customOp(
    [dy],
    () => [
      either({ name: 'windowSumGrad', window }, [dy], shape, () => windowSumGradByWindows(dy, window, shape)),
    ],
    ([u], [savedDy]) => [windowSum(u, window, savedDy.shape)],
  )[0];
}

/** x -> maxima over windows, of `shape`. */
export function windowMax(x: tf.Tensor, window: Window, shape: Shape): tf.Tensor {
  return customOp(
    [x],
    () => [either({ name: 'windowMax', window }, [x], shape, () => windowMaxByWindows(x, window, shape))],
    ([dy], [savedX]) => [windowMaxGrad(savedX, dy, window)],
  )[0];
}

/** x, dy -> dx: every dy at the first maximum of its window. */
export function windowMaxGrad(x: tf.Tensor, dy: tf.Tensor, window: Window): tf.Tensor {
  return customOp(
    [x, dy],
    () => [
      either({ name: 'windowMaxGrad', window }, [x, dy], x.shape, () =>
        windowMaxGradByWindows(x, dy, window),
      ),
    ],
    ([u], [savedX, savedDy]) => [undefined, windowMaxPick(savedX, u, window, savedDy.shape)],
  )[0];
}

/** x, u of its shape -> the element of u at the first maximum of x in each window. There is no core op for it: made of slices everywhere. */
function windowMaxPick(x: tf.Tensor, u: tf.Tensor, window: Window, shape: Shape): tf.Tensor {
  return customOp(
    [x, u],
    () => [tf.tidy(() => windowMaxPickByWindows(x, u, window, shape))],
    ([dy], [savedX]) => [undefined, windowMaxGrad(savedX, dy, window)],
  )[0];
}
