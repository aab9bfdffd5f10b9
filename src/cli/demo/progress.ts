/** A line of progress: a bar on a terminal, a plain line every few seconds anywhere else. */
import cliProgress from 'cli-progress';

export interface Progress {
  /** `detail`: what stands after the bar. */
  update(done: number, detail: string): void;
  /** Ends the line. Calling it twice is allowed. */
  stop(): void;
}

const LINE_EVERY_MS = 3000;

/** Starts a progress line for `total` units of work called `title` on `stream`. */
export function startProgress(stream: NodeJS.WriteStream, title: string, total: number): Progress {
  if (stream.isTTY) {
    const bar = new cliProgress.SingleBar({
      stream,
      format: `${title} {bar} {value}/{total}  {detail}`,
      barsize: 24,
      barCompleteChar: '\u2588',
      barIncompleteChar: '\u2591',
      hideCursor: true,
      clearOnComplete: false,
      etaBuffer: 50,
    });
    bar.start(total, 0, { detail: '' });
    return { update: (done, detail) => bar.update(done, { detail }), stop: () => bar.stop() };
  }
  let last = performance.now();
  return {
    update(done, detail) {
      const now = performance.now();
      if (done < total && now - last < LINE_EVERY_MS) return;
      last = now;
      stream.write(`${title} ${done}/${total}  ${detail}\n`);
    },
    stop() {},
  };
}
