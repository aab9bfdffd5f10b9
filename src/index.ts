/** Run thousands of perturbed copies of an unrolled computation, written in ordinary TensorFlow.js ops, in native code. */
export type { DeviceKind, FunctionPlan, MetricRecord, ProgramPlan, RunProgress } from './device/driver.js';
export type { OpenDriverOptions as OpenDeviceOptions } from './device/open.js';
export {
  AbortedError,
  CheckpointError,
  DeviceError,
  DisposedError,
  OptionError,
  ShapeError,
  TraceError,
  UnrolledError,
  UnsupportedOpError,
} from './errors.js';
export type { AccumulatedState } from './estimators/accumulated.js';
export type {
  Estimate,
  EstimatorInfo,
  EstimatorState,
  EstimatorStepOptions,
  GradientEstimator,
} from './estimators/estimator.js';
export {
  type EpisodeObjective,
  es,
  type FullEsOptions,
  type FullEsState,
  fullEs,
} from './estimators/full-es.js';
export { type GpesOptions, gpes, type TruncatedOptions } from './estimators/gpes.js';
export { type NresOptions, type NresState, nres } from './estimators/nres.js';
export type { EstimatorOptions } from './estimators/options.js';
export type { DifferencePolicy, NonFinitePolicy } from './estimators/pair-differences.js';
export { type PesOptions, type PesState, pes } from './estimators/pes.js';
export { type TruncatedEsOptions, type TruncatedEsState, truncatedEs } from './estimators/truncated-es.js';
export type { Staggering } from './estimators/windows.js';
export * as linalg from './ops/linalg.js';
export * as special from './ops/special.js';
export { type AdamOptions, adam } from './optimizers/adam.js';
export { chain, clipByGlobalNorm, scaleBySchedule } from './optimizers/chain.js';
export { type MomentumOptions, momentum } from './optimizers/momentum.js';
export {
  inverseTimeSchedule,
  linearSchedule,
  piecewiseConstant,
  type Rate,
  type Schedule,
} from './optimizers/schedules.js';
export { type SgdOptions, sgd } from './optimizers/sgd.js';
export {
  applyUpdates,
  type GradientTransformation,
  type OptimizerState,
  type PlainTree,
  type ScalarLike,
  type Update,
} from './optimizers/transformation.js';
export { foldIn, type Seed, toSeed } from './random/philox.js';
export { type InfluenceBalancingOptions, influenceBalancing } from './tasks/influence-balancing.js';
export { type LinearRecurrenceOptions, linearRecurrence } from './tasks/linear-recurrence.js';
export { type MlpClassifierOptions, mlpClassifier } from './tasks/mlp-classifier.js';
export { type ToyRegressionOptions, toyRegression2d } from './tasks/toy-regression.js';
export type { DrawOptions, Rng } from './trace/rng.js';
export type { DeviceChoice } from './transform/default-device.js';
export {
  defineUnroll,
  type InitContext,
  type MetricTensors,
  type StepContext,
  type StepResult,
  type UnrollDefinition,
} from './transform/define.js';
export type { CompileOptions, Device } from './transform/device.js';
export type {
  AnyArguments,
  ArrayArguments,
  CacheInfo,
  CompiledAsync,
  CompiledFunction,
  Lowered,
  Returned,
  TensorArguments,
} from './transform/function-types.js';
export {
  type ApplyOptions,
  type FunctionalModel,
  type FunctionalOptions,
  functional,
  type ModelInputs,
  type ModelParams,
  type TrainingOutputs,
  type Weights,
} from './transform/functional.js';
export {
  type Argnums,
  type GradientOf,
  grad,
  type ValueAndGradOptions,
  valueAndGrad,
} from './transform/grad.js';
export { type Hvp, hvp } from './transform/hvp.js';
export { type JacobianOf, jacobian } from './transform/jacobian.js';
export { type CompiledOptions, type JitOptions, jit } from './transform/jit.js';
export { type Jvp, jvp, type Tangents } from './transform/jvp.js';
export {
  bool,
  type InputsOf,
  int32,
  LeafShape,
  type LeafValue,
  type SpecTree,
  shape,
  type TensorsOf,
  type TensorTree,
  type ValuesOf,
} from './transform/leaf.js';
export { openDevice } from './transform/open-device.js';
export { type PerturbedOptions, type PerturbedTheta, perturbed } from './transform/perturbed.js';
export type { RunOptions, UnrollProgram, UnrollRun } from './transform/program.js';
export type { Checkpoints, GradientOptions, UnrollGradient } from './transform/reverse.js';
export type { ExportedState, UnrollState } from './transform/state.js';
export {
  type UnrollArguments,
  type UnrollFunctionOptions,
  type UnrollOutputs,
  unroll,
} from './transform/unroll.js';
export {
  type UnrollGradArguments,
  type UnrollGradOptions,
  type UnrollGradResult,
  unrollGrad,
} from './transform/unroll-grad.js';
export { type Vjp, vjp } from './transform/vjp.js';
export { type AxisTree, type Mapped, type MappedFunction, vmap } from './transform/vmap.js';
