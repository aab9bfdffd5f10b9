import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { InspectReport } from '../../src/cli/inspect.js';
import { loadNative } from '../../src/device/cpu/native.js';
import { runCli } from './run-cli.js';

const native = loadNative();

describe('unrolled inspect', () => {
  it('prints one JSON object with devices, versions and live handles', async () => {
    const { code, stdout, stderr } = await runCli(['inspect', '--json']);
    expect(code, stderr).toBe(0);
    const report = JSON.parse(stdout) as InspectReport;
    expect(report.versions).toMatchObject({
      node: process.versions.node,
      tfjs: expect.stringMatching(/^4\./),
    });
    expect(report.devices.map(({ kind }) => kind)).toEqual(['cpu', 'tfjs']);
    expect(report.devices[1].available).toBe(true);
    expect(report.devices[0].available).toBe(native.ok);
    expect(report.auto).toBe(native.ok ? 'cpu' : 'tfjs');
    if (native.ok) {
      expect(report.addon.reason).toBeNull();
      const chosen = report.addon.levels.find(({ name }) => name === report.addon.level);
      expect(chosen?.supported).toBe(true);
      expect(report.addon.threads).toBeGreaterThan(0);
      expect(report.live).toMatchObject({
        engines: 0,
        programs: 0,
        states: 0,
        jobs: 0,
        stateBytes: 0,
        programBytes: 0,
      });
    } else {
      expect(report.live).toBeNull();
      expect(report.devices[0].notes.join()).not.toBe('');
    }
  });

  it('says in words why the native device is missing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'unrolled-inspect-'));
    try {
      const broken = join(folder, 'broken.node');
      writeFileSync(broken, 'not an addon');
      for (const [path, reason] of [
        [broken, /could not be loaded/],
        [join(folder, 'none.node'), /UNROLLED_ADDON names it/],
      ] as const) {
        const { code, stdout, stderr } = await runCli(['inspect'], { env: { UNROLLED_ADDON: path } });
        expect(code, stderr).toBe(0);
        expect(stdout).toMatch(/cpu +not available/);
        expect(stdout).toMatch(/tfjs .*<- auto/);
        expect(stdout).toMatch(reason);
        expect(stdout).toContain(`UNROLLED_ADDON=${path}`);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('follows UNROLLED_THREADS and UNROLLED_ISA, and reports a level that cannot be had', async () => {
    const one = await runCli(['inspect', '--json'], {
      env: { UNROLLED_THREADS: '1', UNROLLED_ISA: 'base' },
    });
    const report = JSON.parse(one.stdout) as InspectReport;
    if (native.ok) expect(report.addon).toMatchObject({ level: 'base', threads: 1 });
    expect(report.environment).toMatchObject({ UNROLLED_THREADS: '1', UNROLLED_ISA: 'base' });
    const none = await runCli(['inspect'], { env: { UNROLLED_ISA: 'mmx' } });
    expect(none.code).toBe(0);
    expect(none.stdout).toMatch(/cpu +not available/);
    if (native.ok) expect(none.stdout).toMatch(/cpu[^\n]*\n[^\n]*mmx/);
  });
});
