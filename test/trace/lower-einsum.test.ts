import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  evaluateTraced,
  expectClose,
  expectSameAsEager,
  floats,
  generator,
  type Input,
  ints,
  tracedValues,
} from './compare.js';
import { expectDerivatives } from './derivatives.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const SIZES: Record<string, number> = { b: 2, c: 3, i: 4, j: 5, k: 3, l: 2 };
const input = (labels: string, seed: number): Input =>
  floats(
    labels.split('').map((label) => SIZES[label]),
    -2,
    2,
    seed,
  );

/** The equation by its definition: a loop over all labels. */
function byDefinition(equation: string, operands: Input[]): number[] {
  const [terms, output] = equation.split('->');
  const inputs = terms.split(',');
  const labels = [...new Set(terms.replace(',', ''))];
  const offset = (term: string, at: Record<string, number>) =>
    term.split('').reduce((sum, label) => sum * SIZES[label] + at[label], 0);
  const result = new Array<number>(output.split('').reduce((n, label) => n * SIZES[label], 1)).fill(0);
  const total = labels.reduce((n, label) => n * SIZES[label], 1);
  for (let flat = 0; flat < total; flat++) {
    let rest = flat;
    const at: Record<string, number> = {};
    for (const label of labels) {
      at[label] = rest % SIZES[label];
      rest = Math.floor(rest / SIZES[label]);
    }
    const product = inputs.reduce((p, term, i) => p * operands[i].values[offset(term, at)], 1);
    result[offset(output, at)] += product;
  }
  return result;
}

// tfjs leaves out an operand that has none of the summed labels, so the definition is the reference for those.
const EQUATIONS = [
  'ij->ji',
  'ij->i',
  'ij->',
  'ijk->kj',
  'i,i->',
  'i,j->ij',
  'i,j->ji',
  'ij,jk->ik',
  'ij,jk->ki',
  'ji,kj->ik',
  'bij,bjk->bik',
  'bij,bjk->ikb',
  'bcij,bcjk->bcik',
  'bcij,cbkj->kbic',
  'ij,ij->ij',
  'ij,ij->',
  'ijk,kl->ijl',
  'ij,k->ik',
  'ij,k->k',
  'ijk,jl->',
  'bi,bj->bij',
  'bicj,bkcl->bjl',
];

describe('einsum', () => {
  test.each(EQUATIONS)('%s is what the equation says', (equation) => {
    const [terms, output] = equation.split('->');
    const operands = terms.split(',').map((term, i) => input(term, i + 3));
    const { results } = evaluateTraced((...xs) => tf.einsum(equation, ...xs), operands);
    expect(results.value.shape).toEqual(output.split('').map((label) => SIZES[label]));
    expectClose(results.value.values, byDefinition(equation, operands));
  });

  test('any equation of two operands over four labels', () => {
    const next = generator(17);
    const some = () => ['i', 'j', 'k', 'l'].filter(() => next() < 0.6).sort(() => next() - 0.5);
    for (let n = 0; n < 150; n++) {
      const [a, b] = [some(), some()];
      const output = [...new Set([...a, ...b])].filter(() => next() < 0.5).sort(() => next() - 0.5);
      const equation = `${a.join('')},${b.join('')}->${output.join('')}`;
      const operands = [input(a.join(''), n), input(b.join(''), n + 1)];
      const values = tracedValues((...xs) => tf.einsum(equation, ...xs), operands);
      expectClose(values, byDefinition(equation, operands));
    }
  });

  test('as eager tfjs, spaces and dtypes too', () => {
    expectSameAsEager((a, b) => tf.einsum(' i j , j k -> i k', a, b), [input('ij', 1), input('jk', 2)], 1e-5);
    expectSameAsEager((a, b) => tf.einsum('ij,jk->ik', a, b), [ints([3, 4]), ints([4, 2])]);
    expectSameAsEager((a) => tf.einsum('ij->j', a), [ints([3, 4])]);
  });

  test('what the equation does not allow is refused', () => {
    const refused: [string, ...Input[]][] = [
      ['ij,jk->ik', floats([3, 4]), floats([5, 2])],
      ['ij->i', floats([3])],
      ['ii->i', floats([3, 3])],
      ['ij', floats([3, 3])],
      ['...i->...', floats([3, 3])],
    ];
    for (const [equation, ...operands] of refused) {
      expect(() => evaluateTraced((...xs) => tf.einsum(equation, ...xs), operands)).toThrow();
    }
  });
});

test('derivatives of einsum towards both operands, also where a label is summed in one only', () => {
  for (const equation of [
    'ij,jk->ik',
    'i,j->ij',
    'bij,bjk->bki',
    'ij,ij->',
    'ij,k->k',
    'ijk->k',
    'ij,kj->i',
  ]) {
    const operands = equation
      .split('->')[0]
      .split(',')
      .map((term, i) => input(term, i + 3));
    expectDerivatives((...xs) => tf.einsum(equation, ...xs), operands);
  }
});
