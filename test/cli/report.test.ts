import { describe, expect, it } from 'vitest';
import { escapeHtml, reportHtml } from '../../src/cli/demo/report.js';
import { type DemoResult, number, verdict } from '../../src/cli/demo/result.js';
import { estimateMean } from '../../src/cli/demo/statistics.js';

const settings = { learningRate: 0.01, momentum: 0.9, weightDecay: 1e-4, decayExponent: 0 };

function result(defaultLosses: number[], tunedLosses: number[]): DemoResult {
  const evaluation = (losses: number[]) => ({
    loss: estimateMean(losses),
    accuracy: estimateMean(losses.map(() => 0.95)),
    curve: [1, 2, 3].map((step) => ({ step, mean: 1 / step, low: 0.5 / step, high: 2 / step })),
  });
  return {
    table: {
      source: 'a <b> & "c".csv',
      label: 'kind',
      classes: ['p', 'q'],
      features: ['x', 'y'],
      rows: 10,
      dropped: 2,
      train: 6,
      tuning: 2,
      validation: 2,
      notes: ['column <script>alert(1)</script> is constant'],
    },
    device: 'cpu',
    deviceDescription: 'cpu: avx2',
    particles: 64,
    updates: 3,
    horizon: 3,
    truncation: 1,
    seed: 0,
    runs: defaultLosses.length,
    defaults: settings,
    tuned: { ...settings, learningRate: 0.2 },
    history: [1, 2, 3].map((update) => ({ update, meanLoss: 1 / update, settings })),
    defaultEvaluation: evaluation(defaultLosses),
    tunedEvaluation: evaluation(tunedLosses),
    difference: estimateMean(tunedLosses.map((loss, i) => loss - defaultLosses[i])),
    particleSteps: 192,
    particleStepsPerSecond: 1e6,
    seconds: 1.5,
    notes: [],
  };
}

describe('reportHtml', () => {
  it('draws four charts, refers to nothing outside the file, and escapes what came from the user', async () => {
    const html = await reportHtml(result([0.3, 0.31, 0.32], [0.1, 0.11, 0.12]));
    expect(html.match(/<svg /g)).toHaveLength(4);
    const links = [...html.matchAll(/https?:[^"'\s)<]*/g)].map(([link]) => link);
    expect(links.every((link) => link.startsWith('http://www.w3.org/'))).toBe(true);
    expect(html).not.toMatch(/<script|<link|<img|@import|\ssrc=|url\(\s*['"]?(?!#)/);
    expect(html).toContain('a &lt;b&gt; &amp; &quot;c&quot;.csv');
    // A bar chart of two bars with intervals, and a legend that names both settings
    expect(html).toContain('>default</text>');
    expect(html).toContain('>tuned</text>');
  });

  it('survives runs that all diverged', async () => {
    const html = await reportHtml(result([Number.NaN, Number.NaN], [Number.NaN, Number.NaN]));
    expect(html).toContain('diverged');
    expect(html).not.toContain('NaN,NaN');
  });
});

describe('verdict', () => {
  it('claims no more than the intervals allow', () => {
    expect(verdict(result([0.3, 0.31, 0.32], [0.1, 0.11, 0.12]))).toMatch(/are better/);
    expect(verdict(result([0.1, 0.11, 0.12], [0.3, 0.31, 0.32]))).toMatch(/are worse/);
    expect(verdict(result([0.1, 0.3, 0.2], [0.1, 0.2, 0.25]))).toMatch(/cannot be told apart/);
  });
});

describe('number', () => {
  it('keeps three digits', () => {
    expect([0, 0.012345, 123.4, 12345, 0.00012345, -2].map(number)).toEqual([
      '0',
      '0.0123',
      '123',
      '1.23e4',
      '1.23e-4',
      '-2',
    ]);
  });
});

describe('escapeHtml', () => {
  it('leaves no character with a meaning in HTML', () => {
    expect(escapeHtml(`<a href='x'>&"`)).toBe('&lt;a href=&#39;x&#39;&gt;&amp;&quot;');
  });
});
