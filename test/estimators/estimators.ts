/** The list of all estimators: adding a method adds one line, and it runs through the whole battery. */
import {
  type EstimatorOptions,
  type EstimatorState,
  fullEs,
  type GradientEstimator,
  gpes,
  nres,
  pes,
  truncatedEs,
  type UnrollProgram,
} from '../../src/index.js';

/** Options that every estimator takes. */
export type CommonOptions<Theta> = Omit<EstimatorOptions<Theta>, 'normalisation'>;

export interface ListedEstimator {
  readonly name: string;
  /**
   * Expected sum of the estimates of one episode equals the gradient of the summed loss where that is
   * quadratic.
   */
  readonly unbiased: boolean;
  /** The estimator, with windows of `truncation` steps where it has windows. */
  make<Theta, S, M>(
    program: UnrollProgram<Theta, S, M>,
    options: CommonOptions<Theta>,
    truncation: number,
  ): GradientEstimator<Theta, EstimatorState<S>>;
  /** Estimates that make up one episode. */
  windows(horizon: number, truncation: number): number;
}

function listed(
  name: string,
  unbiased: boolean,
  make: unknown,
  windows: ListedEstimator['windows'] = (horizon, truncation) => horizon / truncation,
): ListedEstimator {
  return { name, unbiased, make: make as ListedEstimator['make'], windows };
}

// biome-ignore lint/suspicious/noExplicitAny: a table of functions that are generic in the program.
type Any = any;

export const ESTIMATORS: readonly ListedEstimator[] = [
  listed(
    'fullEs',
    true,
    (p: Any, o: Any) => fullEs(p, o),
    () => 1,
  ),
  listed('pes', true, (p: Any, o: Any, truncation: number) => pes(p, { ...o, truncation })),
  listed('nres', true, (p: Any, o: Any, truncation: number) => nres(p, { ...o, truncation })),
  listed('gpes', true, (p: Any, o: Any, truncation: number) =>
    gpes(p, { ...o, truncation, block: 2 * truncation }),
  ),
  listed('truncatedEs', false, (p: Any, o: Any, truncation: number) => truncatedEs(p, { ...o, truncation })),
  listed('truncatedEs carrying positive states', false, (p: Any, o: Any, truncation: number) =>
    truncatedEs(p, { ...o, truncation, carry: 'positive' }),
  ),
];
