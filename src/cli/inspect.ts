/** `unrolled inspect`: what this machine and this installation offer, and why anything is not available. */
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { loadNative, type NativeCounters, type NativeLevel } from '../device/cpu/native.js';
import { type DeviceKind, openDevice } from '../index.js';

export interface InspectedDevice {
  readonly kind: DeviceKind;
  readonly available: boolean;
  /** What it runs on; undefined when it is not available. */
  readonly description?: string;
  /** Why it is not available, or why something better was not chosen. */
  readonly notes: readonly string[];
}

export interface InspectReport {
  readonly versions: { readonly unrolled: string; readonly node: string; readonly tfjs: string };
  readonly platform: string;
  /** The device that openDevice('auto') gives; null when none opens. */
  readonly auto: DeviceKind | null;
  readonly devices: readonly InspectedDevice[];
  readonly addon: {
    readonly path: string;
    /** null when it is loaded. */
    readonly reason: string | null;
    readonly abi: number | null;
    readonly compiler: string | null;
    readonly sanitized: boolean;
    /** Instruction levels built in, lowest first. */
    readonly levels: readonly NativeLevel[];
    /** The one that runs: the best supported, or what UNROLLED_ISA says. */
    readonly level: string | null;
    /** Threads of the pool: the hardware's, or what UNROLLED_THREADS says. */
    readonly threads: number | null;
    readonly hardwareThreads: number | null;
  };
  /** Native objects alive after every device was opened and closed again; null without an addon. */
  readonly live: NativeCounters | null;
  /** The variables that change any of this, where they are set. */
  readonly environment: Readonly<Record<string, string>>;
}

const VARIABLES = ['UNROLLED_THREADS', 'UNROLLED_ISA', 'UNROLLED_ADDON', 'UNROLLED_SKIP_NATIVE'] as const;

/** Opens every device once and closes it again. Never rejects because of a device: what failed is part of the report. */
export async function inspect(): Promise<InspectReport> {
  tf.enableProdMode(); // otherwise tfjs advertises its other backends on stderr
  const devices: InspectedDevice[] = [];
  for (const kind of ['cpu', 'tfjs'] as const) devices.push(await inspectDevice(kind));
  return {
    versions: { unrolled: packageVersion(), node: process.versions.node, tfjs: tf.version.tfjs },
    platform: `${process.platform}-${process.arch}`,
    auto: devices.find(({ available }) => available)?.kind ?? null,
    devices,
    ...inspectAddon(),
    environment: Object.fromEntries(
      VARIABLES.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
    ),
  };
}

async function inspectDevice(kind: 'cpu' | 'tfjs'): Promise<InspectedDevice> {
  try {
    await using device = await openDevice(kind);
    return { kind, available: true, description: device.description, notes: device.notes };
  } catch (error) {
    return { kind, available: false, notes: [error instanceof Error ? error.message : String(error)] };
  }
}

function inspectAddon(): Pick<InspectReport, 'addon' | 'live'> {
  const load = loadNative();
  if (!load.ok) {
    const { path, reason } = load;
    const none = { abi: null, compiler: null, level: null, threads: null, hardwareThreads: null };
    return { addon: { path, reason, sanitized: false, levels: [], ...none }, live: null };
  }
  const { native, path } = load;
  const { levels, compiler, sanitized, hardwareThreads } = native.info();
  let reason: string | null = null;
  let chosen: { level: string | null; threads: number | null } = { level: null, threads: null };
  try {
    const engine = native.openEngine({});
    chosen = native.engineInfo(engine);
    native.dispose(engine);
  } catch (error) {
    reason = error instanceof Error ? error.message : String(error);
  }
  return {
    addon: {
      path,
      reason,
      abi: native.abi,
      compiler,
      sanitized,
      levels,
      level: chosen.level,
      threads: chosen.threads,
      hardwareThreads,
    },
    live: native.counters(),
  };
}

function packageVersion(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

/** The report for people. */
export function inspectText(report: InspectReport): string {
  const { versions, addon, live, environment } = report;
  const lines = [
    `unrolled ${versions.unrolled}, node ${versions.node}, tfjs ${versions.tfjs}, ${report.platform}`,
    '',
    'devices',
  ];
  for (const { kind, available, description, notes } of report.devices) {
    const chosen = kind === report.auto ? '  <- auto' : '';
    lines.push(`  ${kind.padEnd(5)} ${available ? description : 'not available'}${chosen}`);
    for (const note of notes) lines.push(`        ${note}`);
  }
  lines.push('', 'native addon', `  ${addon.path}`);
  if (addon.reason !== null) lines.push(`  ${addon.reason}`);
  if (addon.abi !== null) {
    const levels = addon.levels.map(({ name, supported, vectorWidth }) => {
      const state = name === addon.level ? 'chosen' : supported ? 'supported' : 'this processor lacks it';
      return `${name} (${vectorWidth} lanes, ${state})`;
    });
    lines.push(
      `  interface ${addon.abi}, ${addon.compiler}${addon.sanitized ? ', sanitizers on' : ''}`,
      `  instruction levels: ${levels.join(', ')}`,
      `  threads: ${addon.threads} of ${addon.hardwareThreads}`,
    );
  }
  if (live) {
    lines.push(
      '',
      'live native handles',
      `  ${live.engines} engines, ${live.programs} programs, ${live.states} states, ${live.jobs} jobs, ${live.threads} threads`,
      `  ${live.programBytes} bytes of programs, ${live.stateBytes} of states, ${live.arenaBytes} of working memory`,
    );
  }
  const set = Object.entries(environment);
  if (set.length > 0) lines.push('', 'environment', ...set.map(([name, value]) => `  ${name}=${value}`));
  return `${lines.join('\n')}\n`;
}
