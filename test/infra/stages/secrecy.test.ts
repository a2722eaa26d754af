/** What must not be readable, over all stages: no secret in a template or a bundle, and nothing that travels without TLS. */

import { buildSync } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { bundleOptions } from '../../../infra/constructs/bundled-code.ts';
import { stageNames } from '../../../infra/stages/index.ts';
import { functionFolders } from '../../support/function-folders.ts';
import { stageNamed, synthesiseStage, type TemplateResource } from '../../support/synthesis.ts';

const stages = new Map(stageNames.map((name) => [name, synthesiseStage(stageNamed(name))]));
const deployed = stageNames.filter((name) => name !== 'local');

function resourcesOf(name: string, type: string): TemplateResource[] {
  const templates = [...(stages.get(name)?.values() ?? [])];
  return templates.flatMap(({ Resources }) => Object.values(Resources).filter(({ Type }) => Type === type));
}

/** Forms that only a secret has; a text that has none of them may still be one, but not by accident. */
const SECRETS: Readonly<Record<string, RegExp>> = {
  'a key of AWS': /\b(AKIA|ASIA)[A-Z0-9]{16}\b/,
  'a private key': /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  'a password in an address': /[a-z]:\/\/[^\s"/:@]*:[^\s"/@{[]+@/,
  'a token': /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\./,
};

/** Reading fields that AWS fills with secrets: each must be a reference that CloudFormation resolves. */
const SECRET_FIELDS = /^(AuthToken|Passwords?|MasterUserPassword|SecretString|ClientSecret|DATABASE_LOGINS)$/;

/** A secret that people fill in after the deployment: every field says `none`. */
function isForm(text: string): boolean {
  if (!/^"\{.*\}"$/.test(text)) return false;
  const fields = JSON.parse(JSON.parse(text)) as Record<string, string>;
  return Object.values(fields).every((value) => value === 'none');
}

function plainSecretsIn(resources: Readonly<Record<string, TemplateResource>>): string[] {
  const found: string[] = [];
  JSON.stringify(resources, (field, value) => {
    const text = JSON.stringify(value) ?? '';
    if (SECRET_FIELDS.test(field) && !text.includes('{{resolve:secretsmanager:') && !isForm(text))
      found.push(`${field}: ${text}`);
    return value;
  });
  return found;
}

describe.each(stageNames)('the templates of the stage %s', (name) => {
  it('hold no secret, and references where one belongs', () => {
    for (const [stack, { Resources }] of stages.get(name) ?? []) {
      for (const [what, form] of Object.entries(SECRETS)) {
        expect(form.exec(JSON.stringify(Resources))?.[0], `${what} in ${stack}`).toBeUndefined();
      }
      expect(plainSecretsIn(Resources), stack).toEqual([]);
    }
  });

  it('write nothing secret into their outputs', () => {
    for (const { Outputs = {} } of stages.get(name)?.values() ?? []) {
      expect(JSON.stringify(Outputs)).not.toMatch(/resolve:secretsmanager|ClientSecret/);
    }
  });
});

describe('a bundle', () => {
  it.each(functionFolders())('of %s holds no secret', (folder) => {
    const { outputFiles } = buildSync({
      ...bundleOptions(`functions/${folder}/handler.ts`, 'not-written'),
      write: false,
    });
    for (const { path, text } of outputFiles) {
      for (const [what, form] of Object.entries(SECRETS))
        expect(form.exec(text)?.[0], `${what} in ${path}`).toBeUndefined();
    }
  });
});

describe.each(deployed)('the stage %s', (name) => {
  it.each([
    ['REDIS_URL', 'rediss://', 4],
    ['DATABASE_URL', '?sslmode=verify-full', 5],
  ])('reaches what %s names by TLS only', (variable, form, users) => {
    const urls = resourcesOf(name, 'AWS::Lambda::Function').flatMap(({ Properties }) => {
      const { Variables = {} } = (Properties?.['Environment'] ?? {}) as {
        Variables?: Record<string, unknown>;
      };
      return variable in Variables ? [JSON.stringify(Variables[variable])] : [];
    });
    expect(urls).toHaveLength(users);
    // An address that somebody else keeps in a secret says there what it is.
    const isKept = stageNamed(name).stage === 'adopted';
    for (const url of urls) expect(url).toContain(isKept ? '{{resolve:secretsmanager:shop/' : form);
  });

  it('has servers that refuse what does not come by TLS', () => {
    for (const { Properties } of resourcesOf(name, 'AWS::ElastiCache::ReplicationGroup')) {
      expect(Properties).toMatchObject({ TransitEncryptionEnabled: true, TransitEncryptionMode: 'required' });
    }
    for (const { Properties } of resourcesOf(name, 'AWS::RDS::DBProxy')) {
      expect(Properties).toMatchObject({ RequireTLS: true });
    }
    const databases = [
      ...resourcesOf(name, 'AWS::RDS::DBClusterParameterGroup'),
      ...resourcesOf(name, 'AWS::RDS::DBParameterGroup'),
    ];
    for (const { Properties } of databases) {
      expect(Properties?.['Parameters']).toMatchObject({ 'rds.force_ssl': '1' });
    }
    for (const type of ['AWS::SQS::QueuePolicy', 'AWS::SNS::TopicPolicy']) {
      for (const { Properties } of resourcesOf(name, type)) {
        expect(JSON.stringify(Properties)).toContain(
          '"Condition":{"Bool":{"aws:SecureTransport":"false"}},"Effect":"Deny"',
        );
      }
    }
  });

  it('answers callers by TLS 1.2 or later', () => {
    for (const { Properties } of resourcesOf(name, 'AWS::ApiGateway::RestApi')) {
      expect(Properties?.['SecurityPolicy']).toMatch(/TLS_?1[_.]?[23]|TLS13/i);
    }
  });
});

it('the stages with servers of their own have what these tests look at', () => {
  for (const name of ['dev', 'prod'] as const) {
    for (const type of ['AWS::ElastiCache::ReplicationGroup', 'AWS::RDS::DBProxy', 'AWS::SNS::TopicPolicy']) {
      expect(resourcesOf(name, type), `${type} of ${name}`).not.toHaveLength(0);
    }
  }
});
