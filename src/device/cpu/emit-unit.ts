/** Units as the instruction words of native/engine/program.h. */
import { type Graph, type GraphNode, type Shape, sizeOf } from '../../graph/graph.js';
import { writeContiguousKernel } from './contiguous-kernels.js';
import type { Ring } from './deferred.js';
import { floatBits, groupProgram } from './elementwise.js';
import {
  type BlockWriter,
  type Operand,
  type Place,
  show,
  writeCopy,
  writeFill,
  writeRandom,
  writeReduce,
} from './instructions.js';
import { mergedAxes } from './operands.js';
import type { Unit } from './units.js';
import type { Value } from './values.js';
import { broadcastStrides, collapse, collapseTogether, contiguousStrides } from './views.js';
import { Opcode, Space } from './words.js';

/** What a unit's instructions read and write. */
export interface Memory {
  readonly graph: Graph;
  readonly values: readonly Value[];
  /** Memory of a base node. */
  place(base: number): Place;
  /** The contiguous copy made for input `input` of a kernel, or null when the kernel walks its strides as they are. */
  copied(node: number, input: number): Place | null;
  /** Members of a group whose values are needed outside it. */
  outputsOf(unit: Unit): readonly number[];
}

/** Writes units; `stream` is the Philox stream of their draws. */
export class UnitEmitter {
  constructor(
    private readonly memory: Memory,
    private readonly stream: number,
  ) {}

  /** The instructions of a unit, without the copies of its operands. */
  unit(unit: Unit, out: BlockWriter) {
    if (unit.kind === 'group') this.#group(unit, out);
    else this.#kernel(unit, out);
  }

  /** The contiguous copies that a kernel needs of its operands. */
  copies(unit: Unit, out: BlockWriter) {
    const node = this.#nodes[unit.nodes[0]];
    node.inputs.forEach((x, i) => {
      const copy = this.memory.copied(node.id, i);
      if (!copy) return;
      const { shape } = this.#nodes[x];
      const mode = copy.space === Space.varying ? 1 : 0;
      const contiguous = { ...copy, strides: contiguousStrides(shape) };
      writeCopy(out, mode, shape, this.view(x), contiguous, `${node.op.name} operand`);
    });
  }

  /** A node's memory as its view has it. */
  view(node: number): Operand {
    const value = this.memory.values[node];
    const place = this.memory.place(value.base);
    return { space: place.space, offset: place.offset + value.offset, strides: value.strides };
  }

  /** Input `input` of a kernel: its contiguous copy where there is one. */
  operand(node: GraphNode, input: number): Operand {
    const copy = this.memory.copied(node.id, input);
    const x = node.inputs[input];
    return copy ? { ...copy, strides: contiguousStrides(this.#nodes[x].shape) } : this.view(x);
  }

  get #nodes() {
    return this.memory.graph.nodes;
  }

  #result(node: GraphNode): Operand {
    return { ...this.memory.place(node.id), strides: contiguousStrides(node.shape) };
  }

  #mode(unit: Unit): number {
    return unit.uniform ? 0 : 1;
  }

  #group(unit: Unit, out: BlockWriter) {
    const { graph, values } = this.memory;
    const outputs = this.memory.outputsOf(unit);
    const program = groupProgram(graph, values, unit.nodes, unit.product, outputs);
    const shape = graph.nodes[unit.nodes[0]].shape;
    const operands = program.inputs.map(({ node, product }): Operand => {
      if (product) return { space: Space.product, offset: 0, strides: shape.map(() => 0) };
      const view = this.view(node);
      return { ...view, strides: broadcastStrides(graph.nodes[node].shape, view.strides, shape) };
    });
    const results = outputs.map((o) => this.#result(graph.nodes[o]));
    const all = [...operands, ...results];
    // A fused product keeps its two axes; anything else may be walked with fewer.
    const rank = shape.length;
    const walk =
      unit.product === undefined
        ? collapseTogether(
            shape,
            all.map((o) => o.strides),
          )
        : { dims: shape.slice(rank - 2), strides: all.map((o) => o.strides.slice(rank - 2)) };
    const words = [walk.dims.length, ...walk.dims, operands.length];
    operands.forEach((o, i) => {
      words.push(o.space, o.offset, ...walk.strides[i]);
    });
    words.push(results.length);
    results.forEach((o, i) => {
      words.push(program.register(outputs[i]), o.space, o.offset, ...walk.strides[operands.length + i]);
    });
    words.push(program.registers, program.micros.length, ...program.micros.flat());
    const names = unit.nodes.filter((m) => m !== unit.product).map((m) => graph.nodes[m].op.name);
    const target = results.map(show).join(' ');
    const size = sizeOf(shape);
    out.count(this.#mode(unit), program.flopsPerElement * size);
    if (unit.product === undefined) {
      out.instruction(
        Opcode.elementwise,
        [this.#mode(unit), ...words],
        `${target} = elementwise[${shape}] ${names.join(' ')}`,
      );
      return;
    }
    const { m, n, k, a, b } = this.#matmulOperands(graph.nodes[unit.product]);
    out.count(this.#mode(unit), 2 * m * n * k);
    const [am, ak] = a.strides.slice(-2);
    const [bk, bn] = b.strides.slice(-2);
    out.instruction(
      Opcode.matmulElementwise,
      [this.#mode(unit), m, n, k, a.space, a.offset, am, ak, b.space, b.offset, bk, bn, ...words],
      `${target} = matmul[${m},${k},${n}] ${show(a)} ${show(b)} then ${names.join(' ')}`,
    );
  }

  /** A product that is added in place, put off to be added with those of the steps after it. */
  deferred(unit: Unit, ring: Ring, out: BlockWriter) {
    const [product, sum] = unit.nodes.map((id) => this.#nodes[id]);
    const { m, n, k, a, b } = this.#matmulOperands(product);
    const target = this.#result(sum);
    const at = (o: Operand) => [o.space, o.offset, ...o.strides.slice(-2)];
    out.count(1, 2 * m * n * k + m * n);
    out.instruction(
      Opcode.deferredProduct,
      [m, n, k, ring.capacity, ...at(a), ...at(b), ...at(target), ring.row],
      `${show(target)} += matmul[${m},${k},${n}] ${show(a)} ${show(b)}, ${ring.capacity} steps at once`,
    );
  }

  /** Operands under the product's batch axes, with their last two strides in the order (M, K) and (K, N). */
  #matmulOperands(node: GraphNode) {
    if (node.op.name !== 'matMul') throw new Error('not a product');
    const { transposeA, transposeB } = node.op;
    const batch = node.shape.slice(0, -2);
    const side = (x: number, transposed: boolean): Operand => {
      const view = this.view(x);
      const { shape } = this.#nodes[x];
      const rank = shape.length;
      const lead = broadcastStrides(shape.slice(0, -2), view.strides.slice(0, -2), batch);
      const last = view.strides.slice(rank - 2);
      return { ...view, strides: [...lead, ...(transposed ? last.reverse() : last)] };
    };
    const a = side(node.inputs[0], transposeA);
    const b = side(node.inputs[1], transposeB);
    const [m, n] = node.shape.slice(-2);
    const aShape = this.#nodes[node.inputs[0]].shape;
    const k = aShape[aShape.length - (transposeA ? 2 : 1)];
    return { batch, m, n, k, a, b };
  }

  #kernel(unit: Unit, out: BlockWriter) {
    const node = this.#nodes[unit.nodes[0]];
    const mode = this.#mode(unit);
    const result = this.#result(node);
    switch (node.op.name) {
      case 'matMul':
        this.#matmul(unit, node, result, out);
        return;
      case 'reshape':
        // Strides that no view can express: the input is copied in its own shape.
        this.#reshapeCopy(mode, node, result, out);
        return;
      case 'concat': {
        const { axis } = node.op;
        let offset = 0;
        for (const x of node.inputs) {
          const { shape } = this.#nodes[x];
          const part = { ...result, offset: result.offset + offset * result.strides[axis] };
          writeCopy(out, mode, shape, this.view(x), part, 'concat');
          offset += shape[axis];
        }
        return;
      }
      case 'pad': {
        const { paddings, value } = node.op;
        const bits =
          node.dtype === 'float32'
            ? floatBits(value)
            : node.dtype === 'bool'
              ? Number(value !== 0)
              : value | 0;
        // In a function fill and copy may run at once, hence keep apart; lanes are filled faster in one go.
        if (mode === 0) this.#fillBorder(node.shape, paddings, result, bits, out);
        else writeFill(out, mode, node.shape, result, bits);
        const offset = paddings.reduce((sum, [before], i) => sum + before * result.strides[i], 0);
        const inner = { ...result, offset: result.offset + offset };
        writeCopy(out, mode, this.#nodes[node.inputs[0]].shape, this.view(node.inputs[0]), inner, 'pad');
        return;
      }
      case 'gather':
      case 'segmentSum':
      case 'cumsum':
        this.#indexed(mode, node, result, out);
        return;
      case 'random':
        writeRandom(out, mode, node, this.stream, result);
        return;
      case 'all':
      case 'any':
      case 'argMax':
      case 'argMin':
      case 'max':
      case 'min':
      case 'prod':
      case 'sum':
        writeReduce(out, mode, node, this.#nodes[node.inputs[0]], this.view(node.inputs[0]), result);
        return;
      default: {
        const operands = node.inputs.map((_, i) => this.operand(node, i));
        writeContiguousKernel(
          out,
          mode,
          node,
          node.inputs.map((x) => this.#nodes[x]),
          operands,
          result,
        );
      }
    }
  }

  /** Fills what surrounds the inner block: along each axis before and after it, between the insides of the axes before. */
  #fillBorder(
    shape: Shape,
    paddings: readonly (readonly [number, number])[],
    result: Operand,
    bits: number,
    out: BlockWriter,
  ) {
    const dims = shape.slice();
    let offset = result.offset;
    paddings.forEach(([before, after], axis) => {
      const stride = result.strides[axis];
      const whole = dims[axis];
      for (const [from, count] of [
        [0, before],
        [whole - after, after],
      ]) {
        dims[axis] = count;
        if (sizeOf(dims) > 0) writeFill(out, 0, dims, { ...result, offset: offset + from * stride }, bits);
      }
      dims[axis] = whole - before - after;
      offset += before * stride;
    });
  }

  #matmul(unit: Unit, node: GraphNode, result: Operand, out: BlockWriter) {
    let { batch, m, n, k, a, b } = this.#matmulOperands(node);
    let c: readonly number[] = result.strides;
    // A batch over one operand only is more rows of one product.
    const rank = batch.length;
    const merged = collapse([...batch, m], [...a.strides.slice(0, rank), a.strides[rank]]);
    if (rank > 0 && merged && b.strides.slice(0, rank).every((s) => s === 0)) {
      a = { ...a, strides: [merged.stride, a.strides[rank + 1]] };
      b = { ...b, strides: b.strides.slice(rank) };
      c = [n, 1];
      m *= sizeOf(batch);
      batch = [];
    }
    const walk =
      batch.length === 0
        ? { dims: [], strides: [[], [], []] as number[][] }
        : collapseTogether(
            batch,
            [a, b, { strides: c }].map((o) => o.strides.slice(0, batch.length)),
          );
    const q = walk.dims.length;
    const ends = (o: readonly number[]) => o.slice(-2);
    out.instruction(
      Opcode.matmul,
      [
        this.#mode(unit),
        q,
        ...walk.dims,
        m,
        n,
        k,
        a.space,
        a.offset,
        ...ends(a.strides),
        ...walk.strides[0],
        b.space,
        b.offset,
        ...ends(b.strides),
        ...walk.strides[1],
        result.space,
        result.offset,
        ...ends(c),
        ...walk.strides[2],
      ],
      `${show(result)} = matmul[${[...walk.dims, m, k, n]}] ${show(a)} ${show(b)}`,
    );
    out.count(this.#mode(unit), 2 * m * n * k * sizeOf(walk.dims));
  }

  #reshapeCopy(mode: number, node: GraphNode, result: Operand, out: BlockWriter) {
    const { shape } = this.#nodes[node.inputs[0]];
    writeCopy(
      out,
      mode,
      shape,
      this.view(node.inputs[0]),
      { ...result, strides: contiguousStrides(shape) },
      'reshape',
    );
  }

  /** gather, segmentSum, cumsum: operands with merged axes. */
  #indexed(mode: number, node: GraphNode, result: Operand, out: BlockWriter) {
    const operands = node.inputs.map((x, i) => {
      const { shape } = this.#nodes[x];
      const view = this.operand(node, i);
      const groups = (mergedAxes(node, i, shape) as number[][]).map((axes) => {
        const merged = collapse(
          axes.map((a) => shape[a]),
          axes.map((a) => view.strides[a]),
        );
        if (!merged) throw new Error(`axes of ${node.op.name} do not merge`);
        // An empty axis has no stride to speak of.
        return axes.some((a) => shape[a] === 0) ? { dim: 0, stride: 0 } : merged;
      });
      return { view, dims: groups.map((g) => g.dim), strides: groups.map((g) => g.stride) };
    });
    const integer = node.dtype === 'float32' ? 0 : 1;
    const [x, indices] = operands;
    const at = (o: (typeof operands)[number]) => [o.view.space, o.view.offset, ...o.strides];
    const text = `${show(result)} = ${node.op.name}[${node.shape}] ${operands.map((o) => show(o.view)).join(' ')}`;
    if (node.op.name === 'gather') {
      const words = [
        mode,
        integer,
        ...x.dims,
        indices.dims[1],
        ...at(x),
        ...at(indices),
        result.space,
        result.offset,
      ];
      out.instruction(Opcode.gather, words, text);
    } else if (node.op.name === 'segmentSum') {
      const words = [
        mode,
        integer,
        ...x.dims,
        node.op.numSegments,
        ...at(x),
        ...at(indices),
        result.space,
        result.offset,
      ];
      out.instruction(Opcode.segmentSum, words, text);
    } else if (node.op.name === 'cumsum') {
      const flags = [Number(node.op.exclusive), Number(node.op.reverse)];
      out.instruction(
        Opcode.cumsum,
        [mode, integer, ...flags, ...x.dims, ...at(x), result.space, result.offset],
        text,
      );
    }
    if (node.op.name !== 'gather') out.count(mode, sizeOf(this.#nodes[node.inputs[0]].shape));
  }
}
