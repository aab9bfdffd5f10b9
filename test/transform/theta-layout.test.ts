import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { int32, shape } from '../../src/transform/leaf.js';
import { packSigma, ThetaLayout } from '../../src/transform/theta-layout.js';

const layout = new ThetaLayout({ rate: shape(), layers: [{ w: shape(2, 3) }, { w: shape(2) }] });

describe('the flat form of theta', () => {
  it('lists leaves in the order of their keys, row-major', () => {
    expect(layout.size).toBe(9);
    expect(layout.leaves.map(({ path }) => path)).toEqual(['rate', 'layers.0.w', 'layers.1.w']);
  });

  it('packs numbers, typed arrays, nested arrays and tensors, and unpacks what it packed', () => {
    const flat = layout.pack({
      rate: 0.5,
      layers: [
        {
          w: [
            [1, 2, 3],
            [4, 5, 6],
          ],
        },
        { w: tf.tensor1d([7, 8]) },
      ],
    });
    expect([...flat]).toEqual([0.5, 1, 2, 3, 4, 5, 6, 7, 8]);
    const tree = layout.unpack(flat);
    expect(tree).toEqual({
      rate: 0.5,
      layers: [{ w: Float64Array.of(1, 2, 3, 4, 5, 6) }, { w: Float64Array.of(7, 8) }],
    });
    expect(layout.pack(tree)).toEqual(flat);
  });

  it('lets a number stand for every element of a leaf', () => {
    expect([...layout.pack({ rate: 1, layers: [{ w: 2 }, { w: 3 }] })]).toEqual([1, 2, 2, 2, 2, 2, 2, 3, 3]);
  });

  it('spreads leaves with a leading particle axis, and repeats the others', () => {
    const { perParticle, values } = layout.packParticles(
      { rate: [1, 2], layers: [{ w: 0 }, { w: [5, 6] }] },
      2,
    );
    expect(perParticle).toBe(true);
    expect([...values]).toEqual([1, 0, 0, 0, 0, 0, 0, 5, 6, 2, 0, 0, 0, 0, 0, 0, 5, 6]);
    expect(layout.packParticles({ rate: 1, layers: [{ w: 0 }, { w: 1 }] }, 2).perParticle).toBe(false);
    const tensors = { rate: tf.tensor1d([1, 2]), layers: [{ w: tf.zeros([2, 3]) }, { w: tf.ones([2, 2]) }] };
    expect(layout.packParticles(tensors, 2).values).toHaveLength(18);
  });

  it('a leaf may be the whole structure', () => {
    const single = new ThetaLayout(shape(2));
    expect([...single.pack([3, 4])]).toEqual([3, 4]);
    expect(single.unpack([3, 4])).toEqual(Float64Array.of(3, 4));
    expect(new ThetaLayout(shape()).unpack([3])).toBe(3);
  });

  it('names the path of what does not fit', () => {
    const good = { rate: 1, layers: [{ w: 2 }, { w: 3 }] };
    expect(() => layout.pack({ ...good, rate: [1, 2] })).toThrow(
      /theta at "rate" must have shape \[\].*got 2 values/,
    );
    expect(() => layout.pack({ ...good, layers: [{ w: tf.zeros([3, 2]) }, { w: 3 }] })).toThrow(
      /"layers.0.w" must have shape \[2, 3\].*got \[3, 2\]/,
    );
    expect(() => layout.pack({ rate: 1 } as never)).toThrow(/lacks "layers"/);
    expect(() => layout.pack({ ...good, rat: 1 } as never)).toThrow(/has no "rat"/);
    expect(() => layout.pack({ ...good, layers: [{ w: 1 }] } as never)).toThrow(/lacks "1"/);
    expect(() => layout.pack({ ...good, rate: 'x' } as never)).toThrow(/"rate" must be a number/);
    expect(() => layout.packParticles({ ...good, rate: [1, 2, 3] }, 2)).toThrow(
      /differ between particles; got 3 values/,
    );
    const ragged = [[1, 2, 3], [4]] as never;
    expect(() => layout.pack({ ...good, layers: [{ w: ragged }, { w: 3 }] })).toThrow(/ragged/);
    expect(() => layout.unpack([1])).toThrow(/9 values, got 1/);
    expect(() => new ThetaLayout({ n: int32() })).toThrow(/"n" must be float32/);
    expect(() => new ThetaLayout({ n: shape(null) })).toThrow(/fixed dimensions/);
    expect(() => shape(1.5)).toThrow(/integers >= 0/);
  });

  it('takes sigma as a number or a structure, and nothing that is not positive', () => {
    expect([...packSigma(layout, 0.5)]).toEqual(new Array(9).fill(0.5));
    expect(packSigma(layout, { rate: 1, layers: [{ w: 2 }, { w: 3 }] })[8]).toBe(3);
    expect(() => packSigma(layout, 0)).toThrow(/positive and finite/);
    expect(() => packSigma(layout, { rate: Number.NaN, layers: [{ w: 2 }, { w: 3 }] })).toThrow(/element 0/);
  });
});
