/**
 * The checkpoint file: one Uint8Array.
 *
 * | bytes | what |
 * |---|---|
 * | 0..7 | the letters UNROLLED |
 * | 8..11 | version (uint32, little-endian) |
 * | 12..15 | length of the header (uint32, little-endian) |
 * | 16..47 | SHA-256 of everything after it |
 * | 48.. | header: UTF-8 JSON, padded with spaces to a multiple of 8 bytes |
 * | then | the arrays, little-endian, each padded to a multiple of 8 bytes |
 *
 * The header says what was saved (`kind`), the fingerprint of the program it belongs to, numbers, and the
 * table of arrays. A later version must go on reading every earlier one.
 */
import { createHash } from 'node:crypto';
import type { LeafSpec, StateSnapshot } from '../device/driver.js';
import { CheckpointError } from '../errors.js';

const MAGIC = 'UNROLLED';
const VERSION = 1;
const FIXED_BYTES = 48;
const LITTLE_ENDIAN_HOST = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

const ARRAY_TYPES = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  uint8: Uint8Array,
} as const;
type ArrayType = keyof typeof ARRAY_TYPES;
export type CheckpointArray = Float32Array | Float64Array | Int32Array | Uint32Array | Uint8Array;

/** What a checkpoint holds. */
export interface Checkpoint {
  /** What was saved: 'state', or the name of an estimator. */
  readonly kind: string;
  /** See `programFingerprint`. */
  readonly fingerprint: string;
  /** Finite numbers and strings. */
  readonly numbers: Readonly<Record<string, number | string>>;
  readonly arrays: Readonly<Record<string, CheckpointArray>>;
}

interface Header {
  readonly kind: string;
  readonly fingerprint: string;
  readonly numbers: Record<string, number | string>;
  readonly arrays: { name: string; type: ArrayType; length: number; offset: number }[];
}

/**
 * What a saved state must share with the program that takes it up: the leaves of theta and state, and the
 * horizon. The step's arithmetic is not part of it, so that a corrected step can continue from an old state.
 */
export function programFingerprint(
  theta: readonly LeafSpec[],
  state: readonly LeafSpec[],
  horizon: number,
): string {
  const leaf = ({ path, shape, dtype }: LeafSpec) => [path, shape, dtype];
  const text = JSON.stringify([theta.map(leaf), state.map(leaf), String(horizon)]);
  return createHash('sha256').update(text).digest('hex');
}

function typeOf(values: CheckpointArray): ArrayType {
  const found = (Object.keys(ARRAY_TYPES) as ArrayType[]).find((type) => values instanceof ARRAY_TYPES[type]);
  if (!found) throw new CheckpointError('only typed arrays can be saved');
  return found;
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/** Reverses the bytes of every element where the host is big-endian; the file is little-endian everywhere. */
function toFileOrder(bytes: Uint8Array, elementBytes: number): Uint8Array {
  if (LITTLE_ENDIAN_HOST || elementBytes === 1) return bytes;
  const swapped = bytes.slice();
  for (let i = 0; i < swapped.length; i += elementBytes) swapped.subarray(i, i + elementBytes).reverse();
  return swapped;
}

/** The file of a checkpoint. Throws CheckpointError when a number is not finite. */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  for (const [name, value] of Object.entries(checkpoint.numbers)) {
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw new CheckpointError(`"${name}" is ${value}; only finite numbers can be saved`);
    }
  }
  let offset = 0;
  const table = Object.entries(checkpoint.arrays).map(([name, values]) => {
    const entry = { name, type: typeOf(values), length: values.length, offset };
    offset += padded(values.byteLength);
    return entry;
  });
  const header: Header = {
    kind: checkpoint.kind,
    fingerprint: checkpoint.fingerprint,
    numbers: { ...checkpoint.numbers },
    arrays: table,
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = padded(json.length);
  const file = new Uint8Array(FIXED_BYTES + headerBytes + offset);
  const view = new DataView(file.buffer);
  file.set(new TextEncoder().encode(MAGIC));
  view.setUint32(8, VERSION, true);
  view.setUint32(12, headerBytes, true);
  file.fill(0x20, FIXED_BYTES, FIXED_BYTES + headerBytes);
  file.set(json, FIXED_BYTES);
  Object.values(checkpoint.arrays).forEach((values, i) => {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    file.set(toFileOrder(bytes, values.BYTES_PER_ELEMENT), FIXED_BYTES + headerBytes + table[i].offset);
  });
  file.set(createHash('sha256').update(file.subarray(FIXED_BYTES)).digest(), 16);
  return file;
}

/**
 * Reads a checkpoint of one of `kinds`, made by a program of `fingerprint`.
 * Throws CheckpointError when the bytes are no checkpoint, cut short or changed, of a newer version, of
 * another kind, or of another program.
 */
export function decodeCheckpoint(bytes: Uint8Array, kind: string, fingerprint: string): Checkpoint {
  if (!(bytes instanceof Uint8Array)) throw new CheckpointError('a checkpoint is a Uint8Array');
  if (bytes.length < FIXED_BYTES || new TextDecoder().decode(bytes.subarray(0, 8)) !== MAGIC) {
    throw new CheckpointError('these bytes are no checkpoint: they do not begin with UNROLLED');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint32(8, true);
  if (version > VERSION) {
    throw new CheckpointError(
      `the checkpoint has version ${version}, this library reads up to ${VERSION}: update the library`,
    );
  }
  const digest = createHash('sha256').update(bytes.subarray(FIXED_BYTES)).digest();
  if (version < 1 || digest.some((byte, i) => byte !== bytes[16 + i])) {
    throw new CheckpointError(
      'the checkpoint is damaged: its contents do not match their checksum (cut short or changed)',
    );
  }
  const headerBytes = view.getUint32(12, true);
  const start = FIXED_BYTES + headerBytes;
  let header: Header;
  try {
    header = JSON.parse(
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(FIXED_BYTES, start)),
    ) as Header;
  } catch (cause) {
    throw new CheckpointError('the checkpoint is damaged: its header cannot be read', { cause });
  }
  if (header.kind !== kind) {
    throw new CheckpointError(`the checkpoint holds "${header.kind}", wanted "${kind}"`);
  }
  if (header.fingerprint !== fingerprint) {
    throw new CheckpointError(
      'the checkpoint belongs to another program: the leaves of theta or state, or the horizon, differ',
    );
  }
  const arrays: Record<string, CheckpointArray> = {};
  for (const { name, type, length, offset } of header.arrays) {
    const ArrayConstructor = ARRAY_TYPES[type];
    const size = ArrayConstructor ? length * ArrayConstructor.BYTES_PER_ELEMENT : Number.NaN;
    if (!(start + offset + size <= bytes.length)) {
      throw new CheckpointError(`the checkpoint is damaged: the array "${name}" lies outside of it`);
    }
    const part = toFileOrder(
      bytes.slice(start + offset, start + offset + size),
      ArrayConstructor.BYTES_PER_ELEMENT,
    );
    arrays[name] = new ArrayConstructor(part.buffer as ArrayBuffer, part.byteOffset, length);
  }
  return { kind: header.kind, fingerprint: header.fingerprint, numbers: header.numbers, arrays };
}

/** The arrays of a snapshot, by the names that `restoreState` of a program looks for. */
export function snapshotArrays(
  leaves: readonly LeafSpec[],
  snapshot: StateSnapshot,
): Record<string, CheckpointArray> {
  const arrays: Record<string, CheckpointArray> = { t: snapshot.t, fresh: snapshot.fresh };
  leaves.forEach(({ path }, i) => {
    arrays[`state.${path}`] = snapshot.leaves[i];
  });
  return arrays;
}
