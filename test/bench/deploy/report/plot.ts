/** Draws figures over time as an SVG: panels below each other with one time axis, a line for each series, a legend. */
import { linear, logarithmic, rangeOf, type Scale } from './scale.ts';

export type Series = {
  readonly name: string;
  /** In the order of time, with a value for each panel. */
  readonly points: readonly { readonly x: number; readonly values: Readonly<Record<string, number>> }[];
};

type Panel = {
  /** Names the values of the points. */
  readonly value: string;
  /** With its unit. */
  readonly label: string;
  readonly scale: 'linear' | 'logarithmic';
  /** @default - what the values need */
  readonly range?: readonly [number, number];
};

export type Plot = {
  readonly title: string;
  readonly xLabel: string;
  /** What happens at 0. */
  readonly event: string;
  readonly panels: readonly Panel[];
  readonly series: readonly Series[];
};

type Frame = { readonly top: number; readonly x: Scale; readonly y: Scale };

const WIDTH = 960;
const LEFT = 70;
const RIGHT = 24;
const LEGEND_TOP = 58;
const LEGEND_SAMPLE = 26;
const LEGEND_GAP = 24;
/** Of most fonts at this size, somewhat less: who reads the file has whichever. */
const LETTER_WIDTH = 7;
const PANELS_TOP = 92;
const PANEL_HEIGHT = 220;
const PANEL_GAP = 34;
const BOTTOM = 52;
/** Distinguishable on white by people who see colours differently, and by their dashes without any colour. */
const STROKES = [
  { colour: '#0b5fce', width: 2.6, dashes: '' },
  { colour: '#7a3fc2', width: 1.6, dashes: '7 3' },
  { colour: '#c2410c', width: 1.6, dashes: '' },
  { colour: '#15803d', width: 1.6, dashes: '2 3' },
  { colour: '#6b7280', width: 1.6, dashes: '10 3 2 3' },
] as const;
/** A card of its own colour, so that the page's does not matter. */
const STYLE = `text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 12px; fill: #3d4c5c }
.t { font-size: 15px; font-weight: 600; fill: #1b2733 } .g { stroke: #e3e8ee } .a { stroke: #8795a6 } .e { stroke: #1b2733; stroke-dasharray: 4 3 }
polyline { fill: none; stroke-linejoin: round }`;

export function drawPlot(plot: Plot): string {
  const height = PANELS_TOP + plot.panels.length * (PANEL_HEIGHT + PANEL_GAP) - PANEL_GAP + BOTTOM;
  const x = linear(
    rangeOf(plot.series.flatMap(({ points }) => points.map((point) => point.x))),
    LEFT,
    WIDTH - RIGHT,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title">`,
    `<title id="title">${escapeXml(plot.title)}</title>`,
    `<style>\n${STYLE}\n</style>`,
    `<rect width="${WIDTH}" height="${height}" rx="12" fill="#ffffff"/>`,
    text(LEFT, 30, plot.title, 'class="t"'),
    ...drawLegend(plot.series),
    ...plot.panels.flatMap((panel, index) =>
      drawPanel(plot, panel, x, PANELS_TOP + index * (PANEL_HEIGHT + PANEL_GAP)),
    ),
    ...x.ticks.map((tick) => text(x.place(tick), height - BOTTOM + 18, `${tick}`, 'text-anchor="middle"')),
    text((LEFT + WIDTH - RIGHT) / 2, height - BOTTOM + 38, plot.xLabel, 'text-anchor="middle"'),
    '</svg>\n',
  ].join('\n');
}

function drawPanel(plot: Plot, panel: Panel, x: Scale, top: number): string[] {
  const values = plot.series.flatMap(({ points }) =>
    points.map((point) => point.values[panel.value] ?? Number.NaN),
  );
  const range = panel.range ?? rangeOf(values);
  const y = (panel.scale === 'linear' ? linear : logarithmic)(range, top + PANEL_HEIGHT, top);
  const frame = { top, x, y };
  return [
    ...y.ticks.map((tick) => gridLine(frame, tick)),
    ...drawEvent(plot.event, frame),
    ...plot.series.map((series, index) => drawLine(series, panel, index, frame)).reverse(), // the first one on top
    `<path class="a" fill="none" d="M${LEFT} ${top} V${top + PANEL_HEIGHT} H${WIDTH - RIGHT}"/>`,
    text(
      0,
      0,
      panel.label,
      `text-anchor="middle" transform="translate(18 ${top + PANEL_HEIGHT / 2}) rotate(-90)"`,
    ),
  ];
}

function gridLine({ y }: Frame, tick: number): string {
  const at = figure(y.place(tick));
  return `<path class="g" d="M${LEFT} ${at} H${WIDTH - RIGHT}"/>${text(LEFT - 8, y.place(tick) + 4, `${tick}`, 'text-anchor="end"')}`;
}

/** Named in the first panel only. */
function drawEvent(event: string, { x, top }: Frame): string[] {
  const at = x.place(0);
  const line = `<path class="e" d="M${figure(at)} ${top} V${top + PANEL_HEIGHT}"/>`;
  return top === PANELS_TOP ? [line, text(at + 5, top + 12, event, '')] : [line];
}

/** Points without a value are left out. */
function drawLine({ points }: Series, { value }: Panel, index: number, { x, y }: Frame): string {
  const places = points
    .map((point) => ({ x: point.x, y: point.values[value] ?? Number.NaN }))
    .filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y))
    .map((point) => `${figure(x.place(point.x))},${figure(y.place(point.y))}`);
  return `<polyline points="${places.join(' ')}" ${stroke(index)}/>`;
}

function drawLegend(series: readonly Series[]): string[] {
  let left = LEFT;
  return series.map(({ name }, index) => {
    const entry = legendEntry(name, index, left);
    left += LEGEND_SAMPLE + 6 + name.length * LETTER_WIDTH + LEGEND_GAP;
    return entry;
  });
}

function legendEntry(name: string, index: number, left: number): string {
  const line = `<path d="M${figure(left)} ${LEGEND_TOP} h${LEGEND_SAMPLE}" ${stroke(index)}/>`;
  return `${line}${text(left + LEGEND_SAMPLE + 6, LEGEND_TOP + 4, name, '')}`;
}

function stroke(index: number): string {
  const { colour, width, dashes } = STROKES[index % STROKES.length] as (typeof STROKES)[number];
  return `stroke="${colour}" stroke-width="${width}"${dashes === '' ? '' : ` stroke-dasharray="${dashes}"`}`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${figure(x)}" y="${figure(y)}" ${attributes}>${escapeXml(content)}</text>`;
}

function figure(value: number): string {
  return String(Number(value.toFixed(1)));
}

function escapeXml(content: string): string {
  return content.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
