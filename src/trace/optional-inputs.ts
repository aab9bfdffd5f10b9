/** Inputs that a kernel may lack, filled in while a gradient is taken. */
import * as tf from '@tensorflow/tfjs';
import type { KernelCall } from './complex.js';

/**
 * tfjs's tape cannot hold a kernel with an input left out: its gradient of batchNorm without a scale or an offset stops at an undefined
 * tensor. Here such a call gets a scale of ones and an offset of zeros, which change nothing. Other calls stay as they are.
 */
export function withAllInputs(call: KernelCall): KernelCall {
  if (call.kernelName !== 'FusedBatchNorm') return call;
  const { mean, scale, offset } = call.inputs as Record<string, tf.Tensor | undefined>;
  if (!mean || (scale && offset)) return call;
  const inputs = {
    ...call.inputs,
    scale: scale ?? tf.ones(mean.shape),
    offset: offset ?? tf.zeros(mean.shape),
  };
  return { ...call, inputs };
}
