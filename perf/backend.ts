/** `bench -- backend`: the eager backend against tfjs's own, op by op on a MobileNet-like stack. */
import * as tf from '@tensorflow/tfjs';
import '../src/backend/index.js';
import { useBackend } from './eager.js';
import { compare, type Line, type Side } from './measure.js';
import { BATCH, mobileStack } from './problems/mobile.js';

const ROUND_SECONDS = 0.4;

export async function mobile(): Promise<Line[]> {
  const side = async (backend: 'unrolled' | 'wasm' | 'cpu'): Promise<Side> => {
    const enter = () => (backend === 'unrolled' ? tf.setBackend(backend) : useBackend(backend));
    await enter();
    const stack = mobileStack();
    const once = () => {
      const scores = stack.run();
      scores.dataSync();
      scores.dispose();
    };
    return {
      name: backend === 'unrolled' ? backend : `tfjs-${backend}`,
      close: stack.dispose,
      measure: async () => {
        await enter();
        const began = performance.now();
        let images = 0;
        while (performance.now() - began < 1000 * ROUND_SECONDS) {
          once();
          images += BATCH;
        }
        return (1000 * images) / (performance.now() - began);
      },
    };
  };
  const mine = await side('unrolled');
  const peers = [await side('wasm'), await side('cpu')];
  return compare('backend', 'mobile', 'images/s', mine, peers);
}
