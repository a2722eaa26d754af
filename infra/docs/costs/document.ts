/** The generated part of docs/costs.md, as Markdown. */
import {
  costOf,
  endpoints,
  formatNumber,
  type Line,
  linesOf,
  natGateways,
  parts,
  totalOf,
  warmer,
} from './costs.ts';
import { type Price, prices, redisNodePrices } from './prices.ts';
import { assumptions, medium, newServersOf, type Size, seconds, sizes, small } from './sizes.ts';

const begin = '<!-- costs: written by npm run docs -->';
const end = '<!-- end of costs -->';

type PricedAmount = Pick<Line, 'what' | 'amount' | 'price'>;

/** The document with its generated part written anew. Throws for one without the two marks. */
export function withCosts(document: string): string {
  const [before, ...others] = document.split(begin);
  const [, after] = others.join(begin).split(end);
  if (before === undefined || after === undefined) throw new Error(`Without "${begin}" and "${end}"`);
  return [before, begin, '\n\n', renderCosts(), '\n\n', end, after].join('');
}

function renderCosts(): string {
  return [
    '## Three sizes',
    summary(),
    ...sizes.flatMap((size) => [`### ${capitalised(size.name)}: ${size.about}`, tableOf(size)]),
    '## What dominates',
    sizes.map(largestOf).join('\n'),
    '## Warming, by itself',
    linesTable([warmer(small)]),
    '## Endpoints or NAT gateways',
    networks(),
    '## What is assumed',
    assumed(),
    '## The prices',
    priceList(),
  ].join('\n\n');
}

function summary(): string {
  const lines = sizes.map((size) => ({ size, lines: linesOf(size) }));
  const row = (what: string, cell: (column: (typeof lines)[number]) => string) => [what, ...lines.map(cell)];
  const perMillion = ({ size, lines }: { size: Size; lines: readonly Line[] }) =>
    totalOf(lines) / ((size.requestsPerSecond * seconds) / 1_000_000);
  return table(
    ['Dollars a month', ...sizes.map(({ name }) => name)],
    [
      row('Requests a second, on average', ({ size }) => formatNumber(size.requestsPerSecond)),
      row('Requests a month', ({ size }) => formatNumber(size.requestsPerSecond * seconds)),
      ...parts.map((part) => row(part, ({ lines }) => dollars(totalOf(lines, part)))),
      row('**All**', ({ lines }) => `**${dollars(totalOf(lines))}**`),
      row('For a million requests', (column) => dollars(perMillion(column))),
    ],
  );
}

function tableOf(size: Size): string {
  const lines = linesOf(size);
  const total = ['**All**', '', '', '', `**${dollars(totalOf(lines))}**`];
  return table(
    lineHeads,
    [...lines.map((line) => lineRow(line, `${line.part}: ${line.what}`)), total],
    figuresFrom,
  );
}

const lineHeads = ['What', 'How much', 'Quantity', 'Price', 'Dollars a month'];
/** The first of their columns that holds figures. */
const figuresFrom = 2;

function linesTable(lines: readonly PricedAmount[]): string {
  return table(
    lineHeads,
    lines.map((line) => lineRow(line, line.what)),
    figuresFrom,
  );
}

function lineRow(line: PricedAmount, what: string): string[] {
  const { amount, price } = line;
  const quantity = formatRounded(amount.value / (price.units ?? 1));
  return [what, amount.text, quantity, priceText(price), dollars(costOf(line))];
}

function priceText(price: Price): string {
  return `${price.usd} per ${price.per}${marks[price.standing]}`;
}

const marks: Readonly<Record<Price['standing'], string>> = { aws: '', quoted: ' †', unconfirmed: ' ‡' };

/** The four largest parts. */
function largestOf(size: Size): string {
  const lines = linesOf(size);
  const all = totalOf(lines);
  const shares = parts
    .map((part) => ({ part, share: totalOf(lines, part) / all }))
    .sort((a, b) => b.share - a.share);
  const named = shares.slice(0, 4).map(({ part, share }) => `${part} ${Math.round(100 * share)} %`);
  return `- ${size.name}: ${named.join(', ')}`;
}

/** A gateway in each zone is what does without endpoints when a zone is lost; one for all is what is often built. */
function networks(): string {
  const rows = [small, medium].flatMap(({ name, stage }) => {
    const { zones } = newServersOf(stage).network;
    return [
      networkRow(`${name}, ${zones} zones: endpoints, as deployed`, endpoints({ stage }), 'endpointTraffic'),
      networkRow(`${name}: a NAT gateway in each zone`, natGateways(zones), 'natTraffic'),
      networkRow(`${name}: one NAT gateway`, natGateways(1), 'natTraffic'),
    ];
  });
  return table(['Way out', 'Dollars a month', 'and for each GB'], rows);
}

function networkRow(
  what: string,
  lines: readonly PricedAmount[],
  traffic: 'endpointTraffic' | 'natTraffic',
): string[] {
  const sum = lines.reduce((total, line) => total + costOf(line), 0);
  return [what, dollars(sum), String(prices[traffic].usd)];
}

function assumed(): string {
  const rows = Object.values(assumptions).map(({ value, unit, why }) => [
    `${formatNumber(value)} ${unit}`,
    why,
  ]);
  return table(['Assumption', 'Why'], rows, 2);
}

function priceList(): string {
  const all: readonly Price[] = [...Object.values(prices), ...Object.values(redisNodePrices)];
  const rows = all.map((price) => [
    price.what,
    `${price.usd} per ${price.per}`,
    `[source](${price.source})${marks[price.standing]}`,
    price.asOf,
    price.remark ?? '',
  ]);
  return table(['Price of', 'Dollars', 'Read in', 'As of', 'Remark'], rows, 5);
}

/** @param figuresFrom - the first column that holds figures, which stand at the right */
function table(heads: readonly string[], rows: readonly (readonly string[])[], figuresFrom = 1): string {
  const rule = heads.map((_, column) => (column >= figuresFrom ? '---:' : '---'));
  return [heads, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function dollars(value: number): string {
  const text = value.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  return value > 0 && text === '0.00' ? '< 0.01' : text;
}

function formatRounded(value: number): string {
  return value.toLocaleString('en-US', { maximumSignificantDigits: 4 });
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
