/** The rules and the dashboard: every name in them exists, and every alert has its entry in the runbook and its tests. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseSeries } from '../../../shared/metrics/definitions.ts';
import { monitoringDir, projectDir } from './monitoring-tools.ts';

type Rule = {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
};

const configDir = join(monitoringDir, 'config');
const read = (path: string) => readFileSync(join(configDir, path), 'utf8');
const rules: Rule[] = parse(read('prometheus/prewarm.rules.yml')).groups.flatMap(
  (group: { rules: Rule[] }) => group.rules,
);
const alerts = rules.flatMap(({ alert, ...rule }) => (alert === undefined ? [] : [{ alert, ...rule }]));
const dashboard: { panels: { title: string; targets: { expr: string }[] }[] } = JSON.parse(
  read('grafana/dashboards/prewarm.json'),
);
const expressions = [
  ...rules.map(({ record, alert, expr }) => [record ?? alert ?? '', expr] as const),
  ...dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
];

/** Not ours: what the Pushgateway and Prometheus say of themselves, and the labels that they set. */
const foreignMetrics: Record<string, readonly string[]> = { push_time_seconds: ['job'], up: ['job'] };
const ownRecords = rules.flatMap(({ record }) => record ?? []);

/** The metrics that an expression selects: every name but those of functions, keywords, labels and texts. */
function metricsIn(expr: string): string[] {
  const bare = expr
    .replaceAll(/"[^"]*"|\[[^\]]*\]|\{[^}]*\}/g, ' ')
    .replaceAll(/\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ');
  const names = [...bare.matchAll(/[a-z_][\w:]*(?!\w*\s*\()/gi)].map(([name]) => name);
  return names.filter((name) => !/^(and|or|unless)$/.test(name));
}

/** The labels that an expression asks for, in selectors and groupings. */
function labelsIn(expr: string): string[] {
  const selectors = [...expr.matchAll(/\{([^}]*)\}/g)].flatMap(([, inner]) => inner?.split(',') ?? []);
  const groupings = [...expr.matchAll(/\bby\s*\(([^)]*)\)/g)].flatMap(([, inner]) => inner?.split(',') ?? []);
  return [...selectors, ...groupings].map((part) => part.split(/[=!]/)[0]?.trim() ?? '');
}

function knownLabels(metric: string): readonly string[] | undefined {
  if (ownRecords.includes(metric)) return [];
  return foreignMetrics[metric] ?? parseSeries(`${metric}|`)?.definition.labels;
}

describe('an expression of the rules and the dashboard', () => {
  it.each(expressions)('%s selects metrics that exist, by labels that they have', (_, expr) => {
    const metrics = metricsIn(expr);
    const labels = metrics.flatMap((metric) => knownLabels(metric) ?? []);

    expect(metrics.length).toBeGreaterThan(0);
    for (const metric of metrics) expect(knownLabels(metric), metric).toBeDefined();
    for (const label of labelsIn(expr)) expect(labels).toContain(label);
  });
});

describe('an alert', () => {
  const runbook = readFileSync(join(projectDir, 'docs/runbook.md'), 'utf8');

  it.each(alerts)('$alert has a summary, a severity that is routed, and its entry in the runbook', (rule) => {
    const anchor = rule.alert.toLowerCase();
    const entry = runbook.split(/^## /m).find((text) => text.startsWith(`${rule.alert}\n`));

    expect(rule.annotations?.['summary']).toBeTruthy();
    expect(['critical', 'warning']).toContain(rule.labels?.['severity']);
    expect(rule.annotations?.['runbook_url']).toBe(`docs/runbook.md#${anchor}`);
    for (const part of ['Description', 'Investigation', 'Resolution'])
      expect(entry).toMatch(new RegExp(`^\\*\\*${part}\\.\\*\\* \\S`, 'm'));
  });

  it('has a test that sees it fire, and one that sees it stay quiet', () => {
    type Case = { alertname: string; exp_alerts: unknown[] };
    const { tests } = parse(readFileSync(join(monitoringDir, 'prewarm.rules.test.yml'), 'utf8'));
    const cases: Case[] = tests.flatMap((test: { alert_rule_test?: Case[] }) => test.alert_rule_test ?? []);
    const seen = (fires: boolean) =>
      cases.filter((each) => each.exp_alerts.length > 0 === fires).map(({ alertname }) => alertname);

    for (const { alert } of alerts) {
      expect(seen(true)).toContain(alert);
      expect(seen(false)).toContain(alert);
    }
  });
});
