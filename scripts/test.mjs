// `npm test`: dist/ and the addon are brought up to date, then the native engine's own tests (ctest), vitest and tfjs-core's specs on our backend
// run. Arguments go to vitest and leave the others out. Ends with `N passed, N failed` over all.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { buildNative, missingToolchain, root } from './build-native.mjs';
import { tfjsCoreSpecs } from './test-tfjs-core.mjs';

const resolve = createRequire(join(root, 'package.json')).resolve;
const results = join(root, 'build', 'test-results');
const vitestArguments = process.argv.slice(2);

function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  });
  if (error) console.error(`${command}: ${error.message}`);
  return status ?? 1;
}

/** Counts of a JUnit file as ctest writes it. */
function junitCounts(file) {
  const text = readFileSync(file, 'utf8');
  const number = (name) => Number(new RegExp(`<testsuite[^>]*\\b${name}="(\\d+)"`).exec(text)?.[1] ?? 0);
  const failed = number('failures') + number('errors');
  return { passed: number('tests') - failed - number('skipped') - number('disabled'), failed };
}

/** Builds and runs the engine's tests with ctest in `folder` (a cmake-js build folder). */
export function engineTests(folder, env = {}) {
  const file = join(results, 'ctest.xml');
  rmSync(file, { force: true });
  const status = run('ctest', ['--test-dir', folder, '--output-on-failure', '--output-junit', file], env);
  const counts = existsSync(file) ? junitCounts(file) : { passed: 0, failed: 0 };
  return { passed: counts.passed, failed: counts.failed || (status === 0 ? 0 : 1) };
}

/** Runs vitest; a file that cannot even be loaded counts as one failure. */
export function vitest(args, env = {}) {
  const file = join(results, 'vitest.json');
  rmSync(file, { force: true });
  // The package's main entry sits beside its command.
  const command = join(resolve('vitest/package.json'), '..', 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const status = run(process.execPath, [command, 'run', ...reporters, ...args], env);
  if (!existsSync(file)) return { passed: 0, failed: 1 };
  const report = JSON.parse(readFileSync(file, 'utf8'));
  const unloaded = report.testResults.filter(
    (suite) => suite.status === 'failed' && suite.assertionResults.length === 0,
  );
  const failed = report.numFailedTests + unloaded.length;
  return { passed: report.numPassedTests, failed: failed || (status === 0 ? 0 : 1) };
}

/** Writes and prints the total; the exit code follows it. */
export function summarise(parts) {
  const passed = parts.reduce((sum, part) => sum + part.passed, 0);
  const failed = parts.reduce((sum, part) => sum + part.failed, 0);
  writeFileSync(join(results, 'summary.json'), JSON.stringify({ passed, failed }));
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

export function prepareResults() {
  mkdirSync(results, { recursive: true });
  rmSync(join(results, 'summary.json'), { force: true });
}

async function main() {
  prepareResults();
  const parts = [];
  if (run(process.execPath, [resolve('typescript/bin/tsc'), '-p', 'tsconfig.json']) !== 0) {
    parts.push({ passed: 0, failed: 1 });
  }
  const missing = process.env.UNROLLED_SKIP_NATIVE === '1' ? 'UNROLLED_SKIP_NATIVE=1' : missingToolchain();
  if (missing) {
    console.log(`native engine tests: SKIPPED, ${missing}`);
  } else {
    try {
      buildNative({ targets: vitestArguments.length > 0 ? [] : ['engine_tests'] });
      if (vitestArguments.length === 0) parts.push(engineTests('build/cmake'));
    } catch (error) {
      console.error(`native build failed: ${error.message}`);
      parts.push({ passed: 0, failed: 1 });
    }
  }
  parts.push(vitest(vitestArguments));
  if (vitestArguments.length === 0) {
    if (missing) console.log(`tfjs-core's specs: SKIPPED, ${missing}`);
    else {
      const specs = await tfjsCoreSpecs();
      console.log(
        `tfjs-core's specs: ${specs.passed} passed, ${specs.failed} failed, ${specs.excluded} excluded`,
      );
      parts.push(specs);
    }
  }
  summarise(parts);
}

if (process.argv[1]?.endsWith('test.mjs')) await main();
