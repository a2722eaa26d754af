/** What a run adds to the documentation: its part of the document, which other traces' runs leave alone, and its plot. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { editDocument, replaceBetween } from '../../report/document.ts';

const DOCS = new URL('../../../../docs/', import.meta.url);
const END_OF_ALL = '<!-- end of deploys -->';

export type DeployDocs = {
  /** Of the trace. */
  readonly name: string;
  readonly markdown: string;
  readonly svg: string;
};

export function writeDeployDocs({ name, markdown, svg }: DeployDocs): void {
  const file = plotFile(name);
  writeFileSync(fileURLToPath(new URL(file, DOCS)), svg);
  editDocument((text) =>
    withPart(text, name, `${markdown}\n![Latency and hit ratio over time, all contestants](${file})\n`),
  );
}

/** The first run of a trace makes its part, after the others'. */
export function withPart(text: string, name: string, part: string): string {
  const begin = `<!-- deploy ${name}: written by npm run bench:deploy -- --write-docs -->`;
  const end = `<!-- end of deploy ${name} -->`;
  if (text.includes(begin)) return replaceBetween(text, begin, end, part);
  if (!text.includes(END_OF_ALL)) throw new Error(`The document lacks ${END_OF_ALL}.`);
  return text.replace(END_OF_ALL, () => `${begin}\n\n${part}\n${end}\n\n${END_OF_ALL}`);
}

function plotFile(name: string): string {
  return name === 'zipf' ? 'deploy-benchmark.svg' : `deploy-benchmark-${name}.svg`;
}
