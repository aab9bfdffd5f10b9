/** `bench -- threads`: what a second thread brings. */
import { openDevice } from '../src/index.js';
import { compare, type Line } from './measure.js';
import { MLP_64, networkData, networkTraining } from './problems/networks.js';
import { toyRegression } from './problems/small.js';
import { programSide } from './rollout.js';

/** Two threads against one on the same work, in turns. The ratio is the speed-up. */
export async function threads(): Promise<Line[]> {
  await using two = await openDevice('cpu', { threads: 2 });
  await using one = await openDevice('cpu', { threads: 1 });
  const lines: Line[] = [];
  {
    const definition = networkTraining(MLP_64);
    const data = networkData(MLP_64);
    using onTwo = two.compile(definition, { data });
    using onOne = one.compile(definition, { data });
    const side = (name: string, program: typeof onTwo) =>
      programSide(name, program, { logLearningRate: -4 }, 4096, 50);
    lines.push(
      ...(await compare('threads', 'mlp-sgd', 'particle-steps/s', side('2-threads', onTwo), [
        side('1-thread', onOne),
      ])),
    );
  }
  {
    const definition = toyRegression();
    using onTwo = two.compile(definition);
    using onOne = one.compile(definition);
    const side = (name: string, program: typeof onTwo) =>
      programSide(name, program, { logFirst: -4, logLast: -4 }, 65_536, 100);
    lines.push(
      ...(await compare('threads', 'toy-2d', 'particle-steps/s', side('2-threads', onTwo), [
        side('1-thread', onOne),
      ])),
    );
  }
  return lines;
}
