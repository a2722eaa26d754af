/** The synthesised assembly as the suite deploys it: read for names and keys, and without what ministack refuses. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

type Resource = {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
  readonly Metadata?: Readonly<Record<string, unknown>>;
};
type Template = { Resources: Record<string, Resource> };

export const stackName = 'prewarm-local';

export function readTemplate(assemblyDir: string): Template {
  return JSON.parse(readFileSync(templateFile(assemblyDir), 'utf8')) as Template;
}

/** The logical id of the function that was made from a folder of `functions/`. */
export function logicalIdOf(template: Template, folder: string): string {
  return find(
    template,
    ({ Metadata }) => Metadata?.['prewarm:function'] === folder,
    `function of ${folder}`,
  )[0];
}

export function logicalIdOfType(template: Template, type: string): string {
  return find(template, ({ Type }) => Type === type, type)[0];
}

/** The value of a client's API key. */
export function usageKeyOf(template: Template, client: string): string {
  const isKey = ({ Type, Properties }: Resource) =>
    Type === 'AWS::ApiGateway::ApiKey' && String(Properties['Value']).startsWith(`${client}-`);
  return String(find(template, isKey, `key of ${client}`)[1].Properties['Value']);
}

function find(
  template: Template,
  matches: (resource: Resource) => boolean,
  what: string,
): [string, Resource] {
  const found = Object.entries(template.Resources).find(([, resource]) => matches(resource));
  if (found === undefined) throw new Error(`The template has no ${what}`);
  return found;
}

/** An alarm that calculates with several metrics; a test tells when ministack takes it. */
function isRefused({ Type, Properties }: Resource): boolean {
  return Type === 'AWS::CloudWatch::Alarm' && 'Metrics' in Properties;
}

/** Nothing refers to an alarm, so it can be taken out of the template as it is. */
export function leaveOutRefused(assemblyDir: string): void {
  const template = readTemplate(assemblyDir);
  const kept = Object.entries(template.Resources).filter(([, resource]) => !isRefused(resource));
  writeFileSync(
    templateFile(assemblyDir),
    JSON.stringify({ ...template, Resources: Object.fromEntries(kept) }, undefined, 1),
  );
}

function templateFile(assemblyDir: string): string {
  return join(assemblyDir, `${stackName}.template.json`);
}
