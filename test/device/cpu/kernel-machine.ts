/** The contiguous kernels of the plain machine: convolutions, windows, sorting, factorisations, written from their definitions. */
import { symmetricEigen } from '../../../src/graph/evaluate-linear-algebra.js';

export interface KernelMemory {
  float(space: number, offset: number): number;
  int(space: number, offset: number): number;
  storeFloat(space: number, offset: number, value: number): void;
  storeInt(space: number, offset: number, value: number): void;
}

interface Words {
  next(): number;
  list(n: number): number[];
}

interface Geometry {
  readonly n: number;
  readonly c: number;
  readonly image: readonly number[];
  readonly size: readonly number[];
  readonly out: readonly number[];
  /** Position of window element k of output o along an axis. */
  at(axis: number, o: number, k: number): number;
}

function geometry(r: Words): Geometry {
  const [n, ...image] = r.list(4);
  const c = r.next();
  const [size, out, strides, dilations, pad] = [0, 1, 2, 3, 4].map(() => r.list(3));
  return { n, c, image, size, out, at: (axis, o, k) => o * strides[axis] - pad[axis] + k * dilations[axis] };
}

/** Every (image row, window row, element of the window) inside the image, in row-major order of the last two. */
function* positions({ n, image, size, out, at }: Geometry): Generator<[number, number, number]> {
  const count = (dims: readonly number[]) => dims[0] * dims[1] * dims[2];
  for (let w = 0; w < n * count(out); w++) {
    const inImage = w % count(out);
    const o = [
      Math.floor(inImage / (out[1] * out[2])),
      Math.floor(inImage / out[2]) % out[1],
      inImage % out[2],
    ];
    for (let k = 0; k < count(size); k++) {
      const e = [Math.floor(k / (size[1] * size[2])), Math.floor(k / size[2]) % size[1], k % size[2]];
      const p = [0, 1, 2].map((axis) => at(axis, o[axis], e[axis]));
      if (p.some((x, axis) => x < 0 || x >= image[axis])) continue;
      yield [((Math.floor(w / count(out)) * image[0] + p[0]) * image[1] + p[1]) * image[2] + p[2], w, k];
    }
  }
}

/** Runs opcodes 12 to 18; false for any other. */
export function runKernel(opcode: number, r: Words, m: KernelMemory): boolean {
  switch (opcode) {
    case 12: {
      const [, kind, depthwise] = r.list(3);
      const g = geometry(r);
      const [f, as, ao, bs, bo, os, oo, from, to] = r.list(9);
      const columns = depthwise ? g.c * f : f;
      const sums = new Map<number, number>();
      const width = kind === 0 ? columns : kind === 1 ? g.c : f;
      for (let i = from * width; i < to * width; i++) sums.set(i, 0);
      const add = (i: number, value: () => number) => {
        const sum = sums.get(i);
        if (sum !== undefined) sums.set(i, sum + value());
      };
      for (const [x, y, k] of positions(g))
        for (let c = 0; c < g.c; c++)
          for (let j = 0; j < f; j++) {
            const [inX, inY] = [x * g.c + c, y * columns + (depthwise ? c * f + j : j)];
            const inFilter = (k * g.c + c) * f + j;
            const product = (a: number, b: number) => () => m.float(as, ao + a) * m.float(bs, bo + b);
            if (kind === 0) add(inY, product(inX, inFilter));
            else if (kind === 1) add(inX, product(inY, inFilter));
            else add(inFilter, product(inX, inY));
          }
      for (const [i, sum] of sums) m.storeFloat(os, oo + i, sum);
      return true;
    }
    case 13: {
      const [, kind] = r.list(2);
      const g = geometry(r);
      const [xs, xo, os, oo] = r.list(4);
      const result = new Float64Array(g.n * g.out[0] * g.out[1] * g.out[2] * g.c).fill(
        kind === 0 ? -Infinity : 0,
      );
      for (const [x, y] of positions(g))
        for (let c = 0; c < g.c; c++) {
          const [value, at] = [m.float(xs, xo + x * g.c + c), y * g.c + c];
          result[at] = kind === 0 ? Math.max(result[at], value) : result[at] + value;
        }
      result.forEach((value, i) => {
        m.storeFloat(os, oo + i, value);
      });
      return true;
    }
    case 14: {
      const [, kind] = r.list(2);
      const g = geometry(r);
      const [xs, xo, ds, d0, os, oo] = r.list(6);
      const result = new Float64Array(g.n * g.image[0] * g.image[1] * g.image[2] * g.c);
      const best = new Map<number, { at: number; value: number }>();
      for (const [x, y] of positions(g))
        for (let c = 0; c < g.c; c++) {
          const [at, window] = [x * g.c + c, y * g.c + c];
          if (kind === 1) {
            result[at] += m.float(ds, d0 + window);
            continue;
          }
          const value = m.float(xs, xo + at);
          const holder = best.get(window);
          if (!holder || value > holder.value || (Number.isNaN(value) && !Number.isNaN(holder.value)))
            best.set(window, { at, value });
        }
      for (const [window, { at }] of best) result[at] += m.float(ds, d0 + window);
      result.forEach((value, i) => {
        m.storeFloat(os, oo + i, value);
      });
      return true;
    }
    case 15: {
      const [, integer, descending, outer, n, xs, xo, os, oo] = r.list(9);
      for (let o = 0; o < outer; o++) {
        const value = (i: number) => (integer ? m.int(xs, xo + o * n + i) : m.float(xs, xo + o * n + i));
        const values = Array.from({ length: n }, (_, i) => value(i));
        const order = values.map((_, i) => i);
        // Insertion: stable, one comparison at a time.
        const before = (a: number, b: number) =>
          Number.isNaN(b) ? !Number.isNaN(a) : descending ? a > b : a < b;
        for (let i = 1; i < n; i++)
          for (let j = i; j > 0 && before(values[order[j]], values[order[j - 1]]); j--)
            [order[j], order[j - 1]] = [order[j - 1], order[j]];
        order.forEach((position, i) => {
          m.storeInt(os, oo + o * n + i, position);
        });
      }
      return true;
    }
    case 16: {
      const [, batch, n, as, ao, os, oo] = r.list(7);
      for (let b = 0; b < batch; b++) {
        const l = new Float64Array(n * n);
        let good = true;
        for (let i = 0; i < n; i++)
          for (let j = 0; j <= i; j++) {
            let sum = m.float(as, ao + (b * n + i) * n + j);
            for (let k = 0; k < j; k++) sum -= l[i * n + k] * l[j * n + k];
            if (i === j) good &&= sum > 0 && sum < Infinity;
            l[i * n + j] = i === j ? Math.sqrt(sum) : sum / l[j * n + j];
          }
        l.forEach((value, i) => {
          m.storeFloat(os, oo + b * n * n + i, good ? value : Number.NaN);
        });
      }
      return true;
    }
    case 17: {
      const [, lower, transpose, batch, n, columns, as, ao, bs, bo, os, oo] = r.list(12);
      for (let b = 0; b < batch; b++)
        for (let j = 0; j < columns; j++) {
          const x: number[] = [];
          const rows = Array.from({ length: n }, (_, i) => i);
          for (const i of lower !== transpose ? rows : rows.reverse()) {
            let sum = m.float(bs, bo + (b * n + i) * columns + j);
            const element = (p: number, q: number) =>
              m.float(as, ao + (b * n + (transpose ? q : p)) * n + (transpose ? p : q));
            for (const k of Object.keys(x).map(Number)) sum -= element(i, k) * x[k];
            x[i] = sum / element(i, i);
          }
          x.forEach((value, i) => {
            m.storeFloat(os, oo + (b * n + i) * columns + j, value);
          });
        }
      return true;
    }
    case 18: {
      const [, batch, n, as, ao, os, oo] = r.list(7);
      for (let b = 0; b < batch; b++) {
        const a = Float64Array.from({ length: n * n }, (_, i) => m.float(as, ao + b * n * n + i));
        const { values, vectors } = symmetricEigen(a, n);
        [...values, ...vectors].forEach((value, i) => {
          m.storeFloat(os, oo + b * (n + 1) * n + i, value);
        });
      }
      return true;
    }
    default:
      return false;
  }
}
