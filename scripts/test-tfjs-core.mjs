// `npm run test:tfjs-core`: the op specs that tfjs-core publishes (dist/ops/**/*_test.js and dist/gradients_test.js of the installed package), run
// on the 'unrolled' backend. Specs named in test/backend/exclusions.json are left out; an entry there that matches none is a failure. Ends with
// `N passed, N failed, N excluded`.
//   --backend NAME   another backend of tfjs ('cpu'); nothing is excluded then
//   --filter TEXT    only specs whose name holds the text
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { platformFolder, root } from './build-native.mjs';

const require = createRequire(join(root, 'package.json'));
const folder = join(root, 'build', 'tfjs-core');
const reportFile = join(folder, 'report.json');
const UNROLLED = 'unrolled';

/** The specs and what they run on, as one file: they must share one copy of tfjs-core. */
async function bundle(backend) {
  const { build } = require('esbuild');
  const core = dirname(require.resolve('@tensorflow/tfjs-core/dist/index.js'));
  const specs = readdirSync(join(core, 'ops'), { recursive: true }).filter((file) =>
    file.endsWith('_test.js'),
  );
  const imports = (paths) => paths.map((path) => `import ${JSON.stringify(path)};\n`).join('');
  mkdirSync(folder, { recursive: true });
  // A module of its own, so that it has run before any spec is defined.
  writeFileSync(
    join(folder, 'first.mjs'),
    `${imports([
      join(core, 'register_all_gradients.js'),
      join(core, 'public/chained_ops/register_all_chained_ops.js'),
      '@tensorflow/tfjs-backend-cpu',
      ...(backend === UNROLLED ? [join(root, 'src/backend/index.ts')] : []),
    ])}import { setTestEnvs } from ${JSON.stringify(join(core, 'jasmine_util.js'))};
setTestEnvs([{ name: '${backend}', backendName: '${backend}', flags: {}, isDataSync: true }]);
`,
  );
  const files = [...specs.sort().map((file) => join(core, 'ops', file)), join(core, 'gradients_test.js')];
  writeFileSync(join(folder, 'entry.mjs'), imports(['./first.mjs', ...files]));
  const outfile = join(folder, 'specs.mjs');
  await build({
    entryPoints: [join(folder, 'entry.mjs')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    mainFields: ['module', 'main'],
    external: ['jasmine', 'jasmine-core'],
    ignoreAnnotations: true,
    logLevel: 'error',
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
  });
  return outfile;
}

/** 'relu unrolled {} basic' -> 'relu basic': names as the exclusions have them. */
const plainName = (name, backend) => name.replace(` ${backend} {}`, '');

/** Whether an entry names the spec, or all specs whose name begins with it. */
const matches = ({ spec }, name) => (spec.endsWith('*') ? name.startsWith(spec.slice(0, -1)) : name === spec);

/** In a process of its own, so that a crash is a failure like any other. */
async function runSpecs({ backend, filter, file, exclusions }) {
  const Jasmine = require('jasmine');
  const runner = new Jasmine({ projectBaseDir: root });
  const counts = { passed: 0, failed: 0, excluded: 0 };
  const used = new Set();
  const isExcluded = (name) => {
    const found = exclusions.filter((entry) => matches(entry, name));
    for (const entry of found) used.add(entry);
    return found.length > 0;
  };
  let filtered = 0;
  runner.loadConfig({ random: false });
  runner.env.configure({
    specFilter: (spec) => {
      const name = plainName(spec.getFullName(), backend);
      if (isExcluded(name)) return false;
      const wanted = filter === undefined || name.includes(filter);
      if (!wanted) filtered++;
      return wanted;
    },
  });
  runner.clearReporters();
  const failures = [];
  runner.addReporter({
    specDone({ status, fullName, failedExpectations }) {
      if (status === 'passed') counts.passed++;
      else if (status === 'failed') {
        counts.failed++;
        failures.push(plainName(fullName, backend));
        console.log(`FAILED ${plainName(fullName, backend)}`);
        for (const { message, stack } of failedExpectations) {
          console.log(`  ${message}`);
          const frames = String(stack ?? '')
            .split('\n')
            .filter((line) => /^\s+at /.test(line));
          if (process.env.SPEC_STACKS) console.log(frames.slice(0, 12).join('\n'));
        }
      } else counts.excluded++;
    },
    suiteDone: ({ fullName, failedExpectations }) => reportOutside(fullName, failedExpectations),
    jasmineDone({ failedExpectations }) {
      reportOutside('the run', failedExpectations);
      counts.excluded -= filtered;
      for (const { spec } of exclusions.filter((entry) => !used.has(entry))) {
        counts.failed++;
        console.log(
          `FAILED no spec is named ${JSON.stringify(spec)}, which ${'test/backend/exclusions.json'} excludes`,
        );
      }
      writeFileSync(reportFile, JSON.stringify({ ...counts, failures }));
    },
  });
  function reportOutside(name, failed = []) {
    for (const { message } of failed) {
      counts.failed++;
      console.log(`FAILED outside of specs, ${name}: ${message}`);
    }
  }
  runner.exitOnCompletion = false;
  await import(pathToFileURL(file).href);
  await runner.execute();
}

/** Bundles and runs the specs; prints failures, not the last line. */
export async function tfjsCoreSpecs({ backend = UNROLLED, filter } = {}) {
  const file = await bundle(backend);
  rmSync(reportFile, { force: true });
  const addon = join(root, 'prebuilds', platformFolder(), 'unrolled.node');
  const task = JSON.stringify({ backend, filter, file });
  const { status, signal, error } = spawnSync(
    process.execPath,
    [join(root, 'scripts/test-tfjs-core.mjs'), '--run', task],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { UNROLLED_ADDON: addon, ...process.env },
    },
  );
  if (!existsSync(reportFile)) {
    console.log(
      `FAILED the specs did not come to their end: ${error?.message ?? signal ?? `exit code ${status}`}`,
    );
    return { passed: 0, failed: 1, excluded: 0 };
  }
  return JSON.parse(readFileSync(reportFile, 'utf8'));
}

async function main() {
  const { values } = parseArgs({
    options: { backend: { type: 'string' }, filter: { type: 'string' }, run: { type: 'string' } },
  });
  if (values.run !== undefined) {
    const task = JSON.parse(values.run);
    const exclusions =
      task.backend === UNROLLED && task.filter === undefined
        ? JSON.parse(readFileSync(join(root, 'test/backend/exclusions.json'), 'utf8'))
        : [];
    return runSpecs({ ...task, exclusions });
  }
  const { passed, failed, excluded } = await tfjsCoreSpecs(values);
  console.log(`${passed} passed, ${failed} failed, ${excluded} excluded`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

if (process.argv[1]?.endsWith('test-tfjs-core.mjs')) await main();
