/** The report's charts as vega-lite specifications, and their rendering to SVG text without a browser. */
import type { TopLevelSpec } from 'vega-lite';
import type { DemoResult, Evaluation } from './result.js';

const DEFAULT = 'default';
const TUNED = 'tuned';
const COLOURS = { domain: [DEFAULT, TUNED], range: ['#8a8f98', '#1f77b4'] };

type Spec = Record<string, unknown>;

const config = {
  font: 'system-ui, sans-serif',
  background: 'transparent',
  view: { stroke: null },
  axis: { labelFontSize: 11, titleFontSize: 12, titleFontWeight: 'normal', gridOpacity: 0.4, domain: false },
  legend: { labelFontSize: 12, title: null, orient: 'top', symbolOpacity: 1 },
};

/** Mean tuning loss of every update, faintly, and its mean over the updates of one episode. */
export function outerLossChart(result: DemoResult): Spec {
  const window = Math.ceil(result.horizon / result.truncation);
  const values = result.history.flatMap(({ update, meanLoss }) =>
    meanLoss > 0 ? [{ update, meanLoss }] : [],
  );
  return {
    width: 640,
    height: 220,
    data: { values },
    transform: [{ window: [{ op: 'mean', field: 'meanLoss', as: 'smoothed' }], frame: [1 - window, 0] }],
    encoding: { x: { field: 'update', type: 'quantitative', title: 'PES update', scale: { nice: false } } },
    layer: [
      {
        mark: { type: 'line', strokeWidth: 1, color: COLOURS.range[0], opacity: 0.6 },
        encoding: {
          y: { field: 'meanLoss', type: 'quantitative', title: 'mean tuning loss', scale: { type: 'log' } },
        },
      },
      {
        mark: { type: 'line', strokeWidth: 2, color: COLOURS.range[1] },
        encoding: { y: { field: 'smoothed', type: 'quantitative' } },
      },
    ],
  };
}

/** One panel for each hyperparameter over the updates. */
export function settingsChart(result: DemoResult): Spec {
  const panels = [
    { key: 'learningRate', title: 'learning rate', type: 'log' },
    { key: 'momentum', title: 'momentum', type: 'linear' },
    { key: 'weightDecay', title: 'weight decay', type: 'log' },
    { key: 'decayExponent', title: 'decay exponent', type: 'linear' },
  ] as const;
  return {
    columns: 2,
    concat: panels.map(({ key, title, type }) => ({
      width: 285,
      height: 150,
      data: { values: result.history.map(({ update, settings }) => ({ update, value: settings[key] })) },
      mark: { type: 'line', strokeWidth: 1.5, color: COLOURS.range[1] },
      encoding: {
        x: { field: 'update', type: 'quantitative', title: 'PES update', scale: { nice: false } },
        y: { field: 'value', type: 'quantitative', title, scale: { type, zero: false } },
      },
    })),
  };
}

/** Validation loss during training, default against tuned: mean and the middle 95 % of the runs. */
export function learningChart(result: DemoResult): Spec {
  const rows = (settings: string, { curve }: Evaluation) =>
    curve
      .filter(({ low, high, mean }) => low > 0 && Number.isFinite(high) && Number.isFinite(mean))
      .map((point) => ({ settings, ...point }));
  return {
    width: 640,
    height: 260,
    data: { values: [...rows(DEFAULT, result.defaultEvaluation), ...rows(TUNED, result.tunedEvaluation)] },
    encoding: {
      x: { field: 'step', type: 'quantitative', title: 'training step', scale: { nice: false } },
      color: { field: 'settings', type: 'nominal', scale: COLOURS },
    },
    layer: [
      {
        mark: { type: 'area', opacity: 0.18 },
        encoding: {
          y: {
            field: 'low',
            type: 'quantitative',
            title: 'validation loss',
            scale: { type: 'log', nice: false },
          },
          y2: { field: 'high' },
        },
      },
      { mark: { type: 'line', strokeWidth: 2 }, encoding: { y: { field: 'mean', type: 'quantitative' } } },
    ],
  };
}

/** Final validation loss of both settings with 95 % intervals of the mean. */
export function comparisonChart(result: DemoResult): Spec {
  const row = (settings: string, { loss }: Evaluation) => ({
    settings,
    mean: loss.mean,
    low: loss.interval[0],
    high: loss.interval[1],
  });
  const values = [row(DEFAULT, result.defaultEvaluation), row(TUNED, result.tunedEvaluation)];
  return {
    width: 560,
    height: 110,
    data: { values: values.filter(({ mean, low, high }) => [mean, low, high].every(Number.isFinite)) },
    encoding: { y: { field: 'settings', type: 'nominal', title: null, sort: [DEFAULT, TUNED] } },
    layer: [
      {
        mark: { type: 'bar', height: 26 },
        encoding: {
          x: { field: 'mean', type: 'quantitative', title: 'validation loss at the end of training' },
          color: { field: 'settings', type: 'nominal', scale: COLOURS, legend: null },
        },
      },
      {
        mark: { type: 'rule', strokeWidth: 2, color: '#222' },
        encoding: { x: { field: 'low', type: 'quantitative' }, x2: { field: 'high' } },
      },
      {
        mark: { type: 'tick', size: 14, thickness: 2, color: '#222' },
        encoding: { x: { field: 'low', type: 'quantitative' } },
      },
      {
        mark: { type: 'tick', size: 14, thickness: 2, color: '#222' },
        encoding: { x: { field: 'high', type: 'quantitative' } },
      },
    ],
  };
}

/** Draws a specification as an SVG element in text form. Takes a second or so the first time, to load the renderer. */
export async function renderSvg(spec: Spec): Promise<string> {
  const [vega, lite] = await Promise.all([import('vega'), import('vega-lite')]);
  // A warning here is about our own specification, and belongs in front of a developer, not of a user.
  const quiet = vega.logger(vega.Error);
  const { spec: compiled } = lite.compile({ ...spec, config } as unknown as TopLevelSpec, { logger: quiet });
  const view = new vega.View(vega.parse(compiled), { renderer: 'none', logger: quiet });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
