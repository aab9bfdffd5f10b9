/** docs/ops.md, made from the table of lowerings, the refusals, the kernels of tfjs's cpu backend, and traces of derivatives. */
import * as tf from '@tensorflow/tfjs';
import { COMPLEX_KERNELS } from '../../src/trace/complex.js';
import { LOWERINGS } from '../../src/trace/kernels.js';
import { kernelRefusal } from '../../src/trace/refusals.js';
import { derivativesOf, kernelUses } from './kernel-calls.js';

const INTRODUCTION = `# Ops: what runs where

This page is made by \`npm run docs:ops\` from the code, and a test keeps the two equal.

Every op of tfjs-core is made of kernels, and a kernel is what is traced. The table has all of them:

- **native**: recorded in a trace, and run by every device and by the eager backend.
- **tfjs only**: impossible while tracing, for the reason given; the eager backend passes it to the cpu backend of tfjs.
- **impossible**: impossible while tracing, and not a kernel of the cpu backend of tfjs either.

The last two columns say whether derivatives of first and second order can be taken while tracing: *yes*, *no*, *zero* (the function is
piecewise constant), or nothing where no real numbers go in or come out. Several are gradients that tfjs itself lacks, and second derivatives
that it gets wrong; see [tracing.md](tracing.md).

Kernels marked * also take complex64 tensors, as pairs of float32 ones. A complex tensor cannot leave a trace: return
\`tf.real(z)\` and \`tf.imag(z)\`.

Where an index is outside a tensor tfjs throws; on a device values are not looked at, so that what would be read there is NaN (0 for
int32), and what would be written there is dropped.
`;

/** Names of all kernels: tfjs-core exports each under its own name. */
export function kernelNames(): string[] {
  const exported = Object.entries(tf).flatMap(([name, value]) => (name === value ? [name] : []));
  const complex = Object.keys(COMPLEX_KERNELS);
  return [...new Set([...exported, ...Object.keys(LOWERINGS), ...complex])].sort();
}

/** The page. Traces every sample and the derivatives of every kernel: some seconds. */
export function opsPage(): string {
  const uses = kernelUses();
  const rows = kernelNames().map((kernel) => {
    const mark = kernel in COMPLEX_KERNELS ? ' *' : '';
    if (kernel in LOWERINGS || kernel in COMPLEX_KERNELS) {
      const use = uses.get(kernel);
      if (!use) throw new Error(`no sample runs the kernel ${kernel}`);
      const [first, second] = derivativesOf(use);
      return `| ${kernel}${mark} | native | | ${first} | ${second} |`;
    }
    const status = tf.getKernel(kernel, 'cpu') ? 'tfjs only' : 'impossible';
    return `| ${kernel} | ${status} | ${kernelRefusal(kernel).why} | | |`;
  });
  const head = ['| kernel | status | why | first | second |', '|---|---|---|---|---|'];
  return `${INTRODUCTION}\n${[...head, ...rows].join('\n').replaceAll(/ +\|/g, ' |')}\n`;
}
