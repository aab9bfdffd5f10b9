/** Checks of functions and their calls, the same words on every device. */
import { OptionError } from '../errors.js';
import type { TypedArray } from '../graph/graph.js';
import { describe } from '../random/philox.js';
import type { FunctionCall, FunctionSpec } from './driver.js';

const MAX_UINT32 = 2 ** 32 - 1;

/** The Philox step of a call, default 0. @throws OptionError unless it is a uint32 */
export function stepOf({ step = 0 }: FunctionCall): number {
  if (!(Number.isInteger(step) && step >= 0 && step <= MAX_UINT32))
    throw new OptionError(`step must be a uint32, got ${describe(step)}`);
  return step;
}

/** An array for an output must not share memory with an input, unless it is the input donated to it, nor with another output's. @throws OptionError */
export function checkAlone(spec: FunctionSpec, call: FunctionCall, output: number): void {
  const given = call.into?.[output];
  if (given === undefined) return;
  const shares = (other: TypedArray | undefined) =>
    other !== undefined &&
    other.buffer === given.buffer &&
    other.byteOffset < given.byteOffset + given.byteLength &&
    given.byteOffset < other.byteOffset + other.byteLength;
  call.inputs.forEach((input, i) => {
    if (!shares(input)) return;
    const donated = spec.donations?.some(([from, to]) => from === i && to === output);
    if (!donated || input !== given)
      throw new OptionError(
        `into[${output}] shares memory with input "${spec.inputs[i].path}", which is not donated to output "${spec.outputs[output].path}"`,
      );
  });
  call.into?.forEach((other, o) => {
    if (o < output && shares(other))
      throw new OptionError(`into[${o}] and into[${output}] share memory; give each output its own`);
  });
}

/**
 * Pairs of inputs and outputs of one type, each at most once.
 * @throws OptionError naming the pair
 */
export function checkDonations({ inputs, outputs, donations = [] }: FunctionSpec): void {
  const seen = new Set<string>();
  for (const [i, o] of donations) {
    const [input, output] = [inputs[i], outputs[o]];
    const where = `donation [${i}, ${o}]`;
    if (!input || !output)
      throw new OptionError(
        `${where}: the function has ${inputs.length} inputs and ${outputs.length} outputs`,
      );
    if (input.dtype !== output.dtype || input.shape.join() !== output.shape.join())
      throw new OptionError(
        `${where}: input "${input.path}" is ${input.dtype}[${input.shape}], output "${output.path}" ${output.dtype}[${output.shape}]; they must be of one type`,
      );
    for (const name of [`input "${input.path}"`, `output "${output.path}"`]) {
      if (seen.has(name)) throw new OptionError(`${where}: ${name} is in another donation already`);
      seen.add(name);
    }
  }
}
