#!/usr/bin/env node
/** The command line: `unrolled demo`, `unrolled inspect`. */
import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { OptionError } from '../errors.js';
import { loadProblem } from './demo/problem.js';
import { describeFailure, EXIT } from './failure.js';
import { checkReportPath, integer } from './options.js';

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Builds the program; `act` is told which command to run with which options. */
function program(): Command {
  const device = () =>
    new Option('--device <kind>', 'where to run').choices(['auto', 'cpu', 'tfjs']).default('auto');
  const unrolled = new Command('unrolled')
    .description('Run thousands of perturbed copies of an unrolled computation in native code.')
    .version(manifest.version)
    .exitOverride()
    // Commander puts its suggestion on a second line; an error here is one line.
    .configureOutput({ outputError: (text, write) => write(`${text.trim().replace(/\s*\n\s*/g, ' ')}\n`) });

  const demo = unrolled
    .command('demo')
    .description(
      'Tune the training of a small classifier with persistent evolution strategies: its learning rate, momentum, weight decay and decay exponent. Without --csv on the penguins table.',
    )
    .option('--csv <file>', 'a table of your own: a header line, numbers in all columns but the label')
    .option('--label <column>', 'the column of --csv that holds the class')
    .addOption(device())
    .option(
      '--particles <n>',
      'perturbed training runs per update, even (default: depends on device and table)',
      integer(2, 1 << 22, true),
    )
    .option(
      '--steps <n>',
      'updates of the hyperparameters (default: depends on the device)',
      integer(1, 1_000_000),
    )
    .option('--seed <n>', 'seed of everything random', integer(0), 0)
    .option('--json', 'print one JSON object on stdout, everything else on stderr', false)
    .option('--report <file>', 'where to write the report', 'report.html')
    .action(async (options) => {
      // The table is read before anything heavy is loaded: mistakes in it are answered at once.
      checkReportPath(options.report);
      const problem = loadProblem(options);
      const { runDemo } = await import('./demo/demo.js');
      const cancel = new AbortController();
      const interrupt = () => {
        if (cancel.signal.aborted) process.exit(EXIT.interrupted);
        cancel.abort(new Error('Ctrl-C'));
      };
      process.on('SIGINT', interrupt);
      process.on('SIGTERM', interrupt);
      try {
        await runDemo({ ...options, problem, signal: cancel.signal });
      } finally {
        process.off('SIGINT', interrupt);
        process.off('SIGTERM', interrupt);
      }
    });
  demo.hook('preAction', (_, command) => {
    const { csv, label } = command.opts();
    if (csv !== undefined && label === undefined)
      throw new OptionError('--csv needs --label COLUMN, the column that holds the class');
    if (label !== undefined && csv === undefined)
      throw new OptionError('--label needs --csv FILE; the penguins table has its own label');
  });

  unrolled
    .command('inspect')
    .description(
      'Print the devices found and why anything is not available, instruction levels, threads, versions, live native memory.',
    )
    .option('--json', 'print one JSON object', false)
    .action(async (options) => {
      const { inspect, inspectText } = await import('./inspect.js');
      const report = await inspect();
      process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : inspectText(report));
    });
  return unrolled;
}

/** Runs the command line and returns its exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    await program().parseAsync(argv, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    const { code, text } = describeFailure(error);
    if (text !== undefined) process.stderr.write(`${text}\n`);
    return code;
  }
}

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  throw error;
});

void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
