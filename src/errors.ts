/**
 * Every error type of the library. Each carries a stable `code`; messages say what was expected, for which name or path,
 * what came, and what to do next.
 */

/** Base of all errors thrown on purpose by this library. `code` is stable across versions; `message` is for people. */
export class UnrolledError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** An argument or option that cannot be used: wrong type, out of range, misspelt name. */
export class OptionError extends UnrolledError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_OPTION', message, options);
  }
}

/** Shapes or dtypes that do not fit each other; the message names the path or op, the shape wanted and the shape that came. */
export class ShapeError extends UnrolledError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_SHAPE', message, options);
  }
}

/** Something a trace cannot record: reading a value, a dynamic shape, hidden randomness, a leaked host value. */
export class TraceError extends UnrolledError {
  /** The tfjs op or call that was refused. */
  readonly op: string;
  /** `file:line:column` of the caller's code, or undefined when the stack holds no frame outside libraries. */
  readonly frame: string | undefined;
  constructor(op: string, message: string, frame?: string, options?: ErrorOptions) {
    super('ERR_TRACE', frame ? `${message} (at ${frame})` : message, options);
    this.op = op;
    this.frame = frame;
  }
}

/** An op that has no traceable form here; the message names it and the alternatives. */
export class UnsupportedOpError extends UnrolledError {
  readonly op: string;
  readonly frame: string | undefined;
  constructor(op: string, message: string, frame?: string, options?: ErrorOptions) {
    super('ERR_UNSUPPORTED_OP', frame ? `${message} (at ${frame})` : message, options);
    this.op = op;
    this.frame = frame;
  }
}

/** A device that cannot be opened, or that failed while running. */
export class DeviceError extends UnrolledError {
  constructor(message: string, options?: ErrorOptions & { code?: string }) {
    super(options?.code ?? 'ERR_DEVICE', message, options);
  }
}

/** A handle (device, program, rollout state) used after `dispose()`. */
export class DisposedError extends UnrolledError {
  constructor(what: string) {
    super('ERR_DISPOSED', `${what} was disposed; create a new one`);
  }
}

/** A run ended by its AbortSignal. `cause` is the signal's reason. */
export class AbortedError extends UnrolledError {
  /** `started`: whether the run had begun, so that its state is no longer whole; or what to say of something else that had. */
  constructor(reason?: unknown, started: boolean | string = true) {
    super(
      'ERR_ABORTED',
      typeof started === 'string'
        ? started
        : started
          ? 'the run was aborted by its signal; its state is partly advanced and refuses further runs: import a snapshot or create a new one'
          : 'the signal was aborted before the run began; nothing was changed',
      { cause: reason },
    );
  }
}

/** A checkpoint that cannot be read: damaged, of another program, or of a newer version. */
export class CheckpointError extends UnrolledError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_CHECKPOINT', message, options);
  }
}

/** A table that cannot be used. The message names the file and, where one cell or row is at fault, its row and column. */
export class DataError extends UnrolledError {
  /** Data row, counted from 1 below the header. */
  readonly row: number | undefined;
  readonly column: string | undefined;
  constructor(message: string, where: { row?: number; column?: string } = {}, options?: ErrorOptions) {
    super('ERR_DATA', message, options);
    this.row = where.row;
    this.column = where.column;
  }
}
