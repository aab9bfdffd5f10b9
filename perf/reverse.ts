/** `bench -- reverse`: backpropagation through 200 steps of an RNN, and what checkpoints cost and save. */
import { type Checkpoints, openDevice } from '../src/index.js';
import { compare, type Line, type Side, seconds } from './measure.js';
import { pythonPeers } from './peers.js';
import { RNN, recurrentNetwork, recurrentValues } from './problems/recurrent.js';

const UNIT = 'particle-steps/s';

export async function reverse(): Promise<Line[]> {
  const { steps, particles } = RNN;
  const { theta, data } = recurrentValues(RNN);
  await using device = await openDevice('cpu');
  const definition = recurrentNetwork(RNN);
  const compileSeconds = await seconds(() => {
    using compiled = device.compile(definition, { data });
    compiled.reverse();
  });
  using program = device.compile(definition, { data });
  const side = (name: string, checkpoints: Checkpoints): Side => {
    const state = program.createState(particles);
    return {
      name,
      compileSeconds,
      measure: async () => {
        const began = performance.now();
        await program.gradient({ state, theta, steps, seed: 1, checkpoints });
        return (1000 * particles * steps) / (performance.now() - began);
      },
    };
  };
  const kept = side('all states kept', 'all');
  const segments = { every: Math.round(Math.sqrt(steps)) };
  const lines = await compare('reverse', 'rnn', UNIT, kept, await pythonPeers('reverse/rnn'));
  lines.push(
    ...(await compare('reverse', 'rnn-checkpoints', UNIT, side('checkpoints', segments), [
      { ...kept, compileSeconds: undefined },
    ])),
  );
  const all = program.gradientCost({ steps, particles, checkpoints: 'all' });
  const some = program.gradientCost({ steps, particles, checkpoints: segments });
  lines.push({
    suite: 'reverse',
    case: 'rnn-kept-bytes',
    unit: 'bytes',
    value: some.keptBytes,
    peer: 'all states kept',
    peerValue: all.keptBytes,
    ratio: all.keptBytes / some.keptBytes,
  });
  return lines;
}
