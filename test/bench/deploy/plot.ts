/** Draws figures over time as an SVG: panels below each other with one time axis, a line for each series, a legend. */

type Series = {
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

export type Scale = { readonly ticks: readonly number[]; place(value: number): number };
type Range = readonly [number, number];

const TICKS_ABOUT = 8;
const STEPS = [1, 2, 5, 10] as const;
/** Bounds the ticks, whatever the values are. */
const DECADES_MAX = 12;

function rangeOf(values: readonly number[]): Range {
  const finite = values.filter(Number.isFinite);
  return finite.length === 0 ? [0, 1] : [Math.min(...finite), Math.max(...finite)];
}

/** From `range` to the places from `start` to `end`. */
export function linear([low, high]: Range, start: number, end: number): Scale {
  const width = high - low || 1;
  const step = roundStep(width / TICKS_ABOUT);
  const first = Math.ceil(low / step);
  const ticks = Array.from({ length: Math.floor(high / step) - first + 1 }, (_, index) =>
    tidy((first + index) * step),
  );
  return { ticks, place: (value) => start + ((value - low) / width) * (end - start) };
}

/** The same by the powers of ten; `range` grows to ticks at 1, 2 and 5 of each. What is not above 0 is placed at the low end. */
export function logarithmic([low, top]: Range, start: number, end: number): Scale {
  const high = top > 0 ? top : 1;
  const lowest = Math.max(low, high / 10 ** DECADES_MAX);
  const candidates = decades(lowest, high).flatMap((decade) =>
    STEPS.slice(0, 3).map((step) => tidy(step * decade)),
  );
  const from = candidates.findLast((tick) => tick <= lowest) ?? lowest;
  const to = candidates.find((tick) => tick >= high && tick > from) ?? from * 10;
  const scale = linear([Math.log10(from), Math.log10(to)], start, end);
  return {
    ticks: candidates.filter((tick) => tick >= from && tick <= to),
    place: (value) => scale.place(Math.log10(Math.max(value, from))),
  };
}

function decades(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low));
  const count = Math.min(DECADES_MAX, Math.ceil(Math.log10(Math.max(high, low))) - first) + 1;
  return Array.from({ length: count }, (_, index) => 10 ** (first + index));
}

function roundStep(atLeast: number): number {
  const decade = 10 ** Math.floor(Math.log10(atLeast));
  return decade * (STEPS.find((step) => step * decade >= atLeast) ?? 10);
}

/** Without the last bits that a multiplication leaves. */
function tidy(value: number): number {
  return Number(value.toPrecision(6));
}
