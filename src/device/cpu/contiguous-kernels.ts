/** Instructions of the kernels that take contiguous operands: convolutions, windows, sorting, factorisations. */
import { type GraphNode, type Shape, sizeOf, type Window } from '../../graph/graph.js';
import { type BlockWriter, type Operand, type Place, show } from './instructions.js';
import { Opcode } from './words.js';

const at = ({ space, offset }: Place) => [space, offset];

/** GEOMETRY of program.h, from the shapes on both sides of the window. */
function geometry(window: Window, image: Shape, windows: Shape): number[] {
  const { size, strides, dilations, padBefore } = window;
  return [...image, ...size, ...windows.slice(1, 4), ...strides, ...dilations, ...padBefore];
}

/** Leading axes of matrices, as one. */
function batchOf(shape: Shape): number {
  return sizeOf(shape.slice(0, -2));
}

/** The instruction of `node`, whose inputs are `inputs` and lie at `operands`. Writes nothing for an empty result. */
export function writeContiguousKernel(
  out: BlockWriter,
  mode: number,
  node: GraphNode,
  inputs: readonly GraphNode[],
  operands: readonly Operand[],
  result: Place,
) {
  const { op } = node;
  if (sizeOf(node.shape) === 0) return;
  const [a, b] = operands;
  const text = `${show(result)} = ${op.name}[${node.shape}] ${operands.map(show).join(' ')}`;
  switch (op.name) {
    case 'conv':
    case 'convInputGrad':
    case 'convFilterGrad': {
      const kind = { conv: 0, convInputGrad: 1, convFilterGrad: 2 }[op.name];
      const [x, filter, y] =
        kind === 0
          ? [inputs[0], inputs[1], node]
          : kind === 1
            ? [node, inputs[1], inputs[0]]
            : [inputs[0], node, inputs[1]];
      const perFilter = filter.shape[4];
      const rows = kind === 2 ? sizeOf(filter.shape.slice(0, 4)) : sizeOf(node.shape.slice(0, 4));
      out.count(mode, 2 * sizeOf(y.shape.slice(0, 4)) * sizeOf(filter.shape));
      out.instruction(
        Opcode.conv,
        [
          mode,
          kind,
          Number(op.depthwise),
          ...geometry(op.window, x.shape, y.shape),
          perFilter,
          ...at(a),
          ...at(b),
          ...at(result),
          0,
          rows,
        ],
        text,
      );
      return;
    }
    case 'windowMax':
    case 'windowSum': {
      out.count(mode, sizeOf(node.shape) * sizeOf(op.window.size));
      const words = [
        mode,
        Number(op.name === 'windowSum'),
        ...geometry(op.window, inputs[0].shape, node.shape),
      ];
      out.instruction(Opcode.window, [...words, ...at(a), ...at(result)], text);
      return;
    }
    case 'windowMaxGrad':
    case 'windowSumGrad': {
      const dy = inputs[inputs.length - 1];
      out.count(mode, sizeOf(dy.shape) * sizeOf(op.window.size));
      const words = [mode, Number(op.name === 'windowSumGrad'), ...geometry(op.window, node.shape, dy.shape)];
      out.instruction(Opcode.windowGrad, [...words, ...at(a), ...at(b ?? a), ...at(result)], text);
      return;
    }
    case 'argSort': {
      const n = node.shape[node.shape.length - 1];
      const integer = Number(inputs[0].dtype !== 'float32');
      out.instruction(
        Opcode.argSort,
        [mode, integer, Number(op.descending), sizeOf(node.shape) / n, n, ...at(a), ...at(result)],
        text,
      );
      return;
    }
    case 'cholesky':
    case 'symmetricEigen': {
      const n = node.shape[node.shape.length - 1];
      const batch = batchOf(node.shape);
      out.count(mode, batch * n ** 3 * (op.name === 'cholesky' ? 1 / 3 : 9));
      const opcode = op.name === 'cholesky' ? Opcode.cholesky : Opcode.symmetricEigen;
      out.instruction(opcode, [mode, batch, n, ...at(a), ...at(result)], text);
      return;
    }
    case 'triangularSolve': {
      const [n, m] = node.shape.slice(-2);
      const batch = batchOf(node.shape);
      out.count(mode, batch * n * n * m);
      out.instruction(
        Opcode.triangularSolve,
        [mode, Number(op.lower), Number(op.transpose), batch, n, m, ...at(a), ...at(b), ...at(result)],
        text,
      );
      return;
    }
    default:
      throw new Error(`the cpu planner has no instruction for ${op.name}`);
  }
}
