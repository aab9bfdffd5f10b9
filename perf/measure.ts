/** Measuring in turns: both sides of a comparison run in every round, so that a machine that slows down slows both. */

/** One line of output. A higher ratio means that this library is faster (or, for stalls, shorter). */
export interface Line {
  readonly suite: string;
  readonly case: string;
  readonly unit: string;
  readonly value: number;
  /** What it is compared with: another implementation, a limit of the machine, or null for none. */
  readonly peer: string | null;
  readonly peerValue: number | null;
  readonly ratio: number | null;
}

/** A side of a comparison: one call measures one round and returns a rate (or whatever `unit` says). */
export interface Side {
  readonly name: string;
  readonly measure: () => Promise<number>;
  /** Seconds from the definition to the first call, less a call, where known. */
  readonly compileSeconds?: number;
  /** Rounds that a very slow side takes part in; default all. */
  readonly rounds?: number;
  /** Ends what the side holds. */
  readonly close?: () => void;
}

/** Rounds of every comparison; fewer than 7 only to see whether a benchmark works at all. */
let rounds = 7;

/** Sets the number of rounds for all later comparisons. */
export function setRounds(count: number): void {
  rounds = count;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Measures every side once per round, in turns, after one round that does not count; the medians in the order of `sides`. */
export async function interleaved(sides: readonly Side[]): Promise<number[]> {
  const values = sides.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    for (let i = 0; i < sides.length; i++) {
      const { rounds: most = rounds, measure } = sides[i];
      if (most < rounds && (round < 0 || round >= most)) continue;
      const value = await measure();
      if (round >= 0) values[i].push(value);
    }
  }
  return values.map(median);
}

/** Interleaves a first side with its peers and makes one line of each comparison; rates, so higher is better. */
export async function compare(
  suite: string,
  name: string,
  unit: string,
  side: Side,
  peers: readonly Side[],
): Promise<Line[]> {
  const [value, ...peerValues] = await interleaved([side, ...peers]);
  for (const peer of peers) peer.close?.();
  if (peers.length === 0)
    return [{ suite, case: name, unit, value, peer: null, peerValue: null, ratio: null }];
  const rates = peers.map((peer, i) => ({
    suite,
    case: name,
    unit,
    value,
    peer: peer.name,
    peerValue: peerValues[i],
    ratio: value / peerValues[i],
  }));
  const { compileSeconds } = side;
  if (compileSeconds === undefined) return rates;
  const compiled = peers.flatMap((peer) =>
    peer.compileSeconds === undefined
      ? []
      : [
          {
            suite,
            case: `${name}-compile`,
            unit: 's',
            value: compileSeconds,
            peer: peer.name,
            peerValue: peer.compileSeconds,
            ratio: peer.compileSeconds / compileSeconds,
          },
        ],
  );
  return [...rates, ...compiled];
}

/** Seconds that `work` takes. */
export async function seconds(work: () => Promise<unknown> | unknown): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}
