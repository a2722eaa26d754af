/** Writes Mermaid flowcharts, which GitHub draws. */

export type Node = {
  readonly id: string;
  readonly label: string;
  readonly shape: 'box' | 'round' | 'store';
};

export type Edge = { readonly from: string; readonly to: string; readonly label?: string };

const shapes: Readonly<Record<Node['shape'], readonly [string, string]>> = {
  box: ['[', ']'],
  round: ['([', '])'],
  store: ['[(', ')]'],
};

export function flowchart(direction: 'LR' | 'TD', nodes: readonly Node[], edges: readonly Edge[]): string {
  return ['```mermaid', `flowchart ${direction}`, ...nodes.map(drawNode), ...edges.map(drawEdge), '```'].join(
    '\n',
  );
}

function drawNode({ id, label, shape }: Node): string {
  const [open, close] = shapes[shape];
  return `  ${id}${open}${quoted(label)}${close}`;
}

function drawEdge({ from, to, label }: Edge): string {
  return `  ${from} ${label === undefined ? '-->' : `-- ${quoted(label)} -->`} ${to}`;
}

/** In quotes, in which every character but a quote is one. */
function quoted(text: string): string {
  return `"${text.replaceAll('"', '#quot;')}"`;
}
