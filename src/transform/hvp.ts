/** Hessian-vector products: how the gradient of a scalar function changes along given tangents. */
import { activeTrace } from '../trace/active.js';
import { tensorsIn } from './arguments.js';
import type { AnyArguments, CompiledFunction, Returned } from './function-types.js';
import { valueAndGradInTrace } from './grad.js';
import { type AnyFunction, checkFunction, compiledFunction, settingsOf } from './jit.js';
import { type GivenTangents, givenTangents, jvpInTrace, type Tangents } from './jvp.js';

export interface Hvp<A extends readonly unknown[]> {
  /** The gradient by each argument, in its structure. */
  readonly gradient: { -readonly [K in keyof A]: Returned<A[K]> };
  /** The Hessian times the tangents, in the same structure. Leaves that are not float32 have zeros. */
  readonly product: { -readonly [K in keyof A]: Returned<A[K]> };
}

/** Compiled once for each function, and kept as long as the function lives. */
const compiled = new WeakMap<AnyFunction, CompiledFunction<unknown[], unknown>>();

function hvpInTrace(
  fn: AnyFunction,
  primals: readonly unknown[],
  given: GivenTangents,
  name: string,
): unknown {
  const gradients = (args: unknown[]) =>
    valueAndGradInTrace((all) => fn(...all), args, [...args.keys()], name).gradients;
  const { value, tangent } = jvpInTrace(gradients, primals, given, name);
  return { gradient: value, product: tangent };
}

/**
 * The gradient of a scalar function by all of its arguments, and the Hessian times the tangents: forward over reverse (the jvp of the
 * gradient), so no Hessian is made. Cost: a small multiple of the gradient's.
 *
 *     const { gradient: [g], product: [hv] } = hvp((x) => tf.sum(tf.pow(x, 3)), [tf.tensor1d([1, 2])], [tf.tensor1d([1, 0])]); // [6, 0]
 *
 * Primals, tangents, compiling and errors are as for `jvp`; the function must return a float32 scalar (ShapeError).
 */
export function hvp<A extends unknown[]>(
  fn: (...args: A) => unknown,
  primals: AnyArguments<A>,
  tangents: Tangents<A>,
): Hvp<A>;
export function hvp(fn: AnyFunction, primals: unknown[], tangents: readonly unknown[]): unknown {
  checkFunction(fn, 'hvp');
  const name = `hvp(${fn.name || 'the function'})`;
  const given = givenTangents(primals, tangents, name);
  if (activeTrace()) return hvpInTrace(fn, tensorsIn(primals, settingsOf({}, 'hvp', name)), given, name);
  let product = compiled.get(fn);
  if (!product) {
    product = compiledFunction(
      ([along, ...args]) => hvpInTrace(fn, args, along as GivenTangents, name),
      settingsOf({}, 'hvp', name),
    );
    compiled.set(fn, product);
  }
  return product(...([given, ...primals] as never[]));
}
