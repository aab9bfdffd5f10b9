/**
 * A slow, plain machine for the instructions of native/engine/program.h: what the native engine must do, one particle at a time. Tests of
 * the planner run on it, so that a wrong plan shows without the addon.
 */
import { erf } from '../../../src/graph/evaluate-elementwise.js';
import { fillBernoulli, fillIntegers, fillNormal, fillUniform, toSeed } from '../../../src/random/index.js';
import { type KernelMemory, runKernel } from './kernel-machine.js';

export abstract class InstructionMachine {
  abstract readonly spaces: DataView[];
  /** Whose draws RANDOM makes. */
  protected abstract readonly draws: { readonly index: number; readonly pair: number; readonly seed: number };

  protected isReadOnly(space: number): boolean {
    return space === 2 || space === 3;
  }

  /** Runs the instructions of words[from .. to). */
  protected runWords(words: Int32Array, from: number, to: number, step: number) {
    let at = from;
    while (at < to) {
      const reader = new Reader(words, at + 2);
      this.instruction(words[at], reader, step);
      if (reader.at !== at + words[at + 1])
        throw new Error(`opcode ${words[at]} read ${reader.at - at} of ${words[at + 1]} words`);
      at += words[at + 1];
    }
    if (at !== to) throw new Error('a block ends inside an instruction');
  }

  private readonly memory: KernelMemory = {
    float: (space, offset) => asFloat(this.bits(space, offset)),
    int: (space, offset) => this.bits(space, offset),
    storeFloat: (space, offset, value) => this.store(space, offset, asBits(value)),
    storeInt: (space, offset, value) => this.store(space, offset, value),
  };

  protected bits(space: number, offset: number): number {
    const view = this.spaces[space];
    if (offset < 0 || 4 * offset >= view.byteLength)
      throw new Error(`space ${space} has no element ${offset}`);
    return view.getInt32(4 * offset, true);
  }

  protected store(space: number, offset: number, bits: number) {
    if (this.isReadOnly(space)) throw new Error('read-only space');
    const view = this.spaces[space];
    if (offset < 0 || 4 * offset >= view.byteLength)
      throw new Error(`space ${space} has no element ${offset}`);
    view.setInt32(4 * offset, bits, true);
  }

  protected instruction(opcode: number, r: Reader, step: number) {
    switch (opcode) {
      case 1: {
        r.next();
        this.#elementwise(r, null);
        return;
      }
      case 2: {
        r.next();
        const batch = r.list(r.next());
        const [m, n, k] = r.list(3);
        const [a, b, c] = [0, 1, 2].map(() => {
          const [space, offset, s0, s1] = r.list(4);
          return { space, offset, s0, s1, strides: r.list(batch.length) };
        });
        each(batch, (index) => {
          const base = (o: typeof a) => o.offset + dot(index, o.strides);
          for (let i = 0; i < m; i++)
            for (let j = 0; j < n; j++) {
              let sum = 0;
              for (let q = 0; q < k; q++)
                sum +=
                  asFloat(this.bits(a.space, base(a) + i * a.s0 + q * a.s1)) *
                  asFloat(this.bits(b.space, base(b) + q * b.s0 + j * b.s1));
              this.store(c.space, base(c) + i * c.s0 + j * c.s1, asBits(sum));
            }
        });
        return;
      }
      case 3: {
        r.next();
        const [m, n, k] = r.list(3);
        const [as, ao, am, ak, bs, bo, bk, bn] = r.list(8);
        const product = new Float64Array(m * n);
        for (let i = 0; i < m; i++)
          for (let j = 0; j < n; j++)
            for (let q = 0; q < k; q++)
              product[i * n + j] +=
                asFloat(this.bits(as, ao + i * am + q * ak)) * asFloat(this.bits(bs, bo + q * bk + j * bn));
        this.#elementwise(r, product);
        return;
      }
      case 4: {
        r.next();
        const kind = r.next();
        const outDims = r.list(r.next());
        const redDims = r.list(r.next());
        const [space, offset] = r.list(2);
        const outStrides = r.list(outDims.length);
        const redStrides = r.list(redDims.length);
        const [toSpace, toOffset] = r.list(2);
        let at = 0;
        each(outDims, (o) => {
          const values: number[] = [];
          const isFloat = kind % 2 === 0;
          each(redDims, (q) => {
            const bits = this.bits(space, offset + dot(o, outStrides) + dot(q, redStrides));
            values.push(isFloat ? asFloat(bits) : bits);
          });
          const result = reduceValues(kind >> 1, values);
          this.store(toSpace, toOffset + at++, isFloat && kind < 8 ? asBits(result) : result);
        });
        return;
      }
      case 5:
      case 11: {
        if (opcode === 5) r.next();
        const dims = r.list(r.next());
        const [from, fromOffset] = r.list(2);
        const fromStrides = r.list(dims.length);
        const [to, toOffset] = r.list(2);
        const toStrides = r.list(dims.length);
        each(dims, (i) =>
          this.store(to, toOffset + dot(i, toStrides), this.bits(from, fromOffset + dot(i, fromStrides))),
        );
        return;
      }
      case 6: {
        r.next();
        const dims = r.list(r.next());
        const [to, toOffset] = r.list(2);
        const strides = r.list(dims.length);
        const bits = r.next();
        each(dims, (i) => this.store(to, toOffset + dot(i, strides), bits));
        return;
      }
      case 7: {
        const [, integer, batch, outer, n, inner, m] = r.list(7);
        const [xs, xo, ...x] = r.list(6);
        const [is, io, ib, im] = r.list(4);
        const [to, toOffset] = r.list(2);
        let at = 0;
        each([batch, outer, m, inner], ([b, o, j, i]) => {
          const index = this.bits(is, io + b * ib + j * im);
          const inside = index >= 0 && index < n;
          const bits = inside
            ? this.bits(xs, xo + dot([b, o, index, i], x))
            : integer
              ? 0
              : asBits(Number.NaN);
          this.store(to, toOffset + at++, bits);
        });
        return;
      }
      case 8: {
        const [, integer, n, inner, segments] = r.list(5);
        const [xs, xo, sn, si] = r.list(4);
        const [is, io, ii] = r.list(3);
        const [to, toOffset] = r.list(2);
        const sums = new Float64Array(segments * inner);
        each([n, inner], ([j, i]) => {
          const segment = this.bits(is, io + j * ii);
          const bits = this.bits(xs, xo + j * sn + i * si);
          if (segment >= 0 && segment < segments) sums[segment * inner + i] += integer ? bits : asFloat(bits);
        });
        sums.forEach((s, i) => {
          this.store(to, toOffset + i, integer ? s : asBits(s));
        });
        return;
      }
      case 9: {
        const [, integer, exclusive, reverse, outer, n, inner] = r.list(7);
        const [xs, xo, ...x] = r.list(5);
        const [to, toOffset] = r.list(2);
        each([outer, inner], ([o, i]) => {
          let sum = 0;
          for (let j = 0; j < n; j++) {
            const p = reverse ? n - 1 - j : j;
            const bits = this.bits(xs, xo + dot([o, p, i], x));
            const value = integer ? bits : asFloat(bits);
            const out = exclusive ? sum : sum + value;
            sum += value;
            this.store(to, toOffset + (o * n + p) * inner + i, integer ? out : asBits(out));
          }
        });
        return;
      }
      case 10: {
        const [, distribution, share, stream, draw, count, bits0, bits1, to, toOffset] = r.list(10);
        const subject = share === 0 ? 0 : share === 1 ? this.draws.pair : this.draws.index;
        const source = { seed: toSeed(this.draws.seed), stream, draw, step, subject };
        const floats = new Float32Array(count);
        const ints = new Int32Array(count);
        const bytes = new Uint8Array(count);
        if (distribution === 0) fillNormal(floats, source);
        else if (distribution === 1) fillUniform(floats, source, asFloat(bits0), asFloat(bits1));
        else if (distribution === 2) fillIntegers(ints, source, bits0, bits0 + (bits1 >>> 0));
        else fillBernoulli(bytes, source, asFloat(bits0));
        for (let i = 0; i < count; i++)
          this.store(
            to,
            toOffset + i,
            distribution < 2 ? asBits(floats[i]) : distribution === 2 ? ints[i] : bytes[i],
          );
        return;
      }
      default:
        if (!runKernel(opcode, r, this.memory)) throw new Error(`opcode ${opcode}`);
    }
  }

  #elementwise(r: Reader, product: Float64Array | null) {
    const dims = r.list(r.next());
    const inputs = Array.from({ length: r.next() }, () => {
      const [space, offset] = r.list(2);
      return { space, offset, strides: r.list(dims.length) };
    });
    const outputs = Array.from({ length: r.next() }, () => {
      const [register, space, offset] = r.list(3);
      return { register, space, offset, strides: r.list(dims.length) };
    });
    const registers = r.next();
    const micros = Array.from({ length: r.next() }, () => r.list(7));
    let at = 0;
    each(dims, (index) => {
      const file = new Int32Array(registers);
      inputs.forEach((o, i) => {
        file[i] =
          o.space === -1
            ? asBits((product as Float64Array)[at])
            : this.bits(o.space, o.offset + dot(index, o.strides));
      });
      at++;
      for (const [code, dst, a, b, c, bits0, bits1] of micros) {
        if (dst < inputs.length || dst >= registers) throw new Error('a micro-op writes an input');
        file[dst] = micro(code, file[a], file[b], file[c], bits0, bits1);
      }
      for (const o of outputs) this.store(o.space, o.offset + dot(index, o.strides), file[o.register]);
    });
  }
}

export class Reader {
  constructor(
    private readonly words: Int32Array,
    public at: number,
  ) {}
  next(): number {
    return this.words[this.at++];
  }
  list(n: number): number[] {
    return Array.from({ length: n }, () => this.next());
  }
}

/** Memory of n words that no computation has written: reading it shows. */
export function poisoned(n: number): DataView {
  const view = new DataView(new ArrayBuffer(4 * Math.max(n, 1)));
  for (let i = 0; i < n; i++) view.setInt32(4 * i, 0x7fc12345, true);
  return view;
}

/** A copy of words as memory. */
export function viewOf(words: Int32Array): DataView {
  const view = poisoned(words.length);
  words.forEach((x, i) => {
    view.setInt32(4 * i, x, true);
  });
  return view;
}

const cell = new DataView(new ArrayBuffer(4));
export function asFloat(bits: number): number {
  cell.setInt32(0, bits);
  return cell.getFloat32(0);
}
export function asBits(value: number): number {
  cell.setFloat32(0, value);
  return cell.getInt32(0);
}

function dot(index: readonly number[], strides: readonly number[]): number {
  return index.reduce((sum, x, i) => sum + x * strides[i], 0);
}

function each(dims: readonly number[], visit: (index: number[]) => void) {
  const index = dims.map(() => 0);
  const walk = (axis: number) => {
    if (axis === dims.length) visit(index);
    else
      for (let i = 0; i < dims[axis]; i++) {
        index[axis] = i;
        walk(axis + 1);
      }
  };
  walk(0);
}

function reduceValues(kind: number, values: readonly number[]): number {
  const best = (better: (a: number, b: number) => boolean) =>
    values.reduce((k, v, i) => (better(v, values[k]) ? i : k), 0);
  switch (kind) {
    case 0:
      return values.reduce((a, b) => a + b, 0);
    case 1:
      return values.reduce((a, b) => a * b, 1);
    case 2:
      return Math.max(...values);
    case 3:
      return Math.min(...values);
    case 4:
      return best((a, b) => a > b);
    default:
      return best((a, b) => a < b);
  }
}

type Fn = (...x: number[]) => number;
const floatFns: Record<number, Fn> = {
  1: Math.abs,
  2: (x) => -x,
  3: (x) => (x > 0 ? 1 : x < 0 ? -1 : x === 0 ? 0 : x),
  4: (x) => x * x,
  5: (x) => (x > 0 || Number.isNaN(x) ? x : 0),
  6: Math.exp,
  7: Math.expm1,
  8: Math.log,
  9: Math.log1p,
  10: Math.sqrt,
  11: (x) => 1 / Math.sqrt(x),
  12: (x) => 1 / x,
  13: Math.floor,
  14: Math.ceil,
  15: (x) => {
    const f = Math.floor(x);
    const d = x - f;
    return d < 0.5 ? f : d > 0.5 ? f + 1 : f % 2 === 0 ? f : f + 1;
  },
  16: Math.sin,
  17: Math.cos,
  18: Math.tan,
  19: Math.asin,
  20: Math.acos,
  21: Math.atan,
  22: Math.sinh,
  23: Math.cosh,
  24: Math.tanh,
  25: Math.asinh,
  26: Math.acosh,
  27: Math.atanh,
  28: erf,
  29: (x) => 1 / (1 + Math.exp(-x)),
  30: (x) => (x > 20 ? x : Math.log1p(Math.exp(x))),
  60: (a, b) => a + b,
  61: (a, b) => a - b,
  62: (a, b) => a * b,
  63: (a, b) => a / b,
  64: (a, b) => Math.floor(a / b),
  65: (a, b) => {
    const m = a % b;
    return a < 0 === b < 0 ? m : (m + b) % b;
  },
  66: Math.pow,
  67: Math.atan2,
  68: (a, b) => Math.min(a, b),
  69: (a, b) => Math.max(a, b),
  70: (a, b) => (a - b) * (a - b),
  130: (a, b, c) => a * b + c,
  131: (a, b, c) => a * b - c,
  132: (a, b, c) => c - a * b,
};
const intFns: Record<number, Fn> = {
  40: Math.abs,
  41: (x) => -x,
  42: Math.sign,
  43: (x) => x * x,
  44: (x) => Math.max(x, 0),
  46: (x) => Number(!x),
  80: (a, b) => a + b,
  81: (a, b) => a - b,
  82: Math.imul,
  83: (a, b) => Math.floor(a / b),
  84: (a, b) => ((a % b) + b) % b,
  85: Math.pow,
  86: (a, b) => Math.min(a, b),
  87: (a, b) => Math.max(a, b),
  88: (a, b) => Math.imul(a - b, a - b),
  89: (a, b) => a & b,
  106: (a, b) => Number(a === b),
  107: (a, b) => Number(a !== b),
  108: (a, b) => Number(a < b),
  109: (a, b) => Number(a <= b),
  110: (a, b) => Number(a > b),
  111: (a, b) => Number(a >= b),
  112: (a, b) => Number(a && b),
  113: (a, b) => Number(a || b),
  124: (x) => Number(x !== 0),
  120: (a, b, c) => (a ? b : c),
};
const testFns: Record<number, Fn> = {
  50: (x) => Number(Number.isNaN(x)),
  51: (x) => Number(Math.abs(x) === Number.POSITIVE_INFINITY),
  52: (x) => Number(Number.isFinite(x)),
  100: (a, b) => Number(a === b),
  101: (a, b) => Number(a !== b),
  102: (a, b) => Number(a < b),
  103: (a, b) => Number(a <= b),
  104: (a, b) => Number(a > b),
  105: (a, b) => Number(a >= b),
  121: (x) => Math.trunc(x),
  123: (x) => Number(x !== 0),
};

function micro(code: number, a: number, b: number, c: number, bits0: number, bits1: number): number {
  if (code in floatFns) return asBits(floatFns[code](asFloat(a), asFloat(b), asFloat(c)));
  if (code in intFns) return intFns[code](a, b, c) | 0;
  if (code in testFns) return testFns[code](asFloat(a), asFloat(b)) | 0;
  const x = asFloat(a);
  switch (code) {
    case 31:
      return asBits(Math.min(Math.max(x, asFloat(bits0)), asFloat(bits1)));
    case 32:
      return asBits(x > 0 ? 1 : x <= 0 ? asFloat(bits0) : Number.NaN);
    case 45:
      return Math.min(Math.max(a, bits0), bits1);
    case 122:
      return asBits(a);
    default:
      throw new Error(`micro-op ${code}`);
  }
}
