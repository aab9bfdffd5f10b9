/** Float64 references for the tests of draws: the normal distribution's tail, and distances between a sample and a distribution. */

/** erf by its Taylor series: for |x| below 3. */
export function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** erfc by its continued fraction (Lentz): for x above 1. */
export function erfc(x: number): number {
  let fraction = 0;
  for (let n = 400; n >= 1; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}

/** P(N(0, 1) <= x). */
export function normalCdf(x: number): number {
  const t = Math.abs(x) / Math.SQRT2;
  const upper = t < 2 ? (1 - erf(t)) / 2 : erfc(t) / 2;
  return x < 0 ? upper : 1 - upper;
}

/** sqrt(n) times the largest distance between the sample's distribution and `cdf`; above 2.28 with probability 6e-5 (4 sigma). */
export function kolmogorovSmirnov(sample: Float32Array, cdf: (x: number) => number): number {
  const sorted = sample.slice().sort();
  const n = sorted.length;
  let distance = 0;
  for (let i = 0; i < n; i++) {
    const f = cdf(sorted[i]!);
    distance = Math.max(distance, f - i / n, (i + 1) / n - f);
  }
  return Math.sqrt(n) * distance;
}

/** Standard errors between the mean of `sample` raised to `power` and `expected`, whose own variance is given. */
export function momentError(sample: Float32Array, power: number, expected: number, variance: number): number {
  let sum = 0;
  for (const x of sample) sum += x ** power;
  return (sum / sample.length - expected) / Math.sqrt(variance / sample.length);
}

/** Correlation of two samples of mean 0 and variance 1, in standard errors. */
export function correlationError(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum / Math.sqrt(a.length);
}
