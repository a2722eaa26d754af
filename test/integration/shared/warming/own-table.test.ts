/** A table of one's own: the file that the README shows, registered, read, warmed and hydrated. */
import { readFileSync } from 'node:fs';
import type { Context } from 'aws-lambda';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { readOne, readSeveral } from '../../../../functions/read/by-id.ts';
import { type Caches, openCaches, warmableDatasetsOf } from '../../../../shared/caches.ts';
import { type ApiRequest, apiHandler } from '../../../../shared/http/api.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { hydrate } from '../../../../shared/warming/hydration.ts';
import { ReadReporter } from '../../../../shared/warming/popularity.ts';
import type { WarmupReport } from '../../../../shared/warming/report.ts';
import { warmUp } from '../../../../shared/warming/warm-up.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { datasets } from '../../../support/datasets/index.ts';
import { products } from '../../../support/datasets/products.ts';
import { isolatedServers } from '../../../support/servers.ts';
import { stopClock } from '../../../support/virtual-clock.ts';

const TABLE = `
DROP TABLE IF EXISTS products;
CREATE TABLE products (slug text PRIMARY KEY, name text NOT NULL, sold integer NOT NULL);
INSERT INTO products SELECT 'product-' || n, 'Product ' || n, 1000 - n FROM generate_series(1, 300) n`;

/** The one line of registration. */
const registered = { ...datasets, products: { ...products, warmIdsMax: 20 } };

let database: Database;
let redis: GuardedRedis;
let caches: Caches<typeof registered>;

beforeAll(async () => {
  stopClock(); // what was looked at a moment ago is not answered from memory without another look
  const servers = await isolatedServers({ seeded: false });
  const client = new pg.Client({ connectionString: servers.databaseUrl });
  await client.connect();
  await client.query(TABLE);
  await client.end();
  database = closedAtEnd(new Database(servers.databaseUrl));
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, WARMER_GUARD));
  caches = openCaches(redis, database, registered);
});
afterAll(() => {
  vi.useRealTimers();
});

function warm(): Promise<WarmupReport> {
  return warmUp({
    traceId: crypto.randomUUID(),
    trigger: 'manual',
    redis,
    connect: () => database.connect(),
    datasets: warmableDatasetsOf(redis, database, caches, registered),
    signal: new AbortController().signal,
    recordMetrics: async () => {},
  });
}

it('is read through all layers by its own ids', async () => {
  const read = await caches.products.get('product-7');
  expect(read).toEqual({ json: '{"slug":"product-7","name":"Product 7","sold":993}', layer: 'miss' });
  expect(await caches.products.get('product-7')).toMatchObject({ layer: 'l1' });
  expect(await caches.products.get('no-such-product')).toEqual({ json: null, layer: 'miss' });
});

it('is answered on a route of its own: 404 for what does not exist, 400 for what is no slug', async () => {
  const name = 'GET /products/{slug}';
  const readable = { dataset: products, cache: caches.products, one: 'product', expectedId: 'a slug' };
  const handler = apiHandler({ [name]: readOne(readable, 'slug') }, async () => {}, {
    [name]: { answeredBy: 'read', scope: null },
  });
  const get = async (slug: string) => {
    const asked = { httpMethod: 'GET', resource: '/products/{slug}', pathParameters: { slug } };
    const request = { ...asked, requestContext: { requestId: 'id' } } as unknown as ApiRequest;
    const { statusCode, body } = await handler(request, {} as Context);
    return { statusCode, body: JSON.parse(body) };
  };

  expect(await get('product-7')).toEqual({
    statusCode: 200,
    body: { slug: 'product-7', name: 'Product 7', sold: 993 },
  });
  expect(await get('no-such-product')).toMatchObject({
    statusCode: 404,
    body: { detail: 'There is no product no-such-product.' },
  });
  expect(await get('No slug')).toMatchObject({
    statusCode: 400,
    body: { errors: [{ field: 'slug', expected: 'a slug' }] },
  });
});

it('of several, those that do not exist are named', async () => {
  const readable = { dataset: products, cache: caches.products, one: 'product', expectedId: 'a slug' };
  const query = { slugs: 'product-7,no-such-product' };
  const { body } = await readSeveral(readable, 'slugs')({ queryStringParameters: query } as never);
  expect(JSON.parse(body)).toEqual({
    items: [{ slug: 'product-7', name: 'Product 7', sold: 993 }],
    missing: ['no-such-product'],
  });
});

it('is warmed as a step of its own: what people read, then what its rank says', async () => {
  await caches.products.get('product-250');
  await new ReadReporter(redis, Object.values(caches)).reportAll();
  const report = await warm();
  expect(report.steps.find(({ name }) => name === 'top-products')).toMatchObject({
    status: 'success',
    planned: 20,
    warmed: 20,
    plannedFromReads: 2,
  });
  const fresh = openCaches(redis, database, registered).products;
  const layers = await fresh.getMany(['product-250', 'product-7', 'product-1', 'product-18', 'product-30']);
  expect(layers.map(({ layer }) => layer)).toEqual(['l2', 'l2', 'l2', 'l2', 'miss']);
});

it('is in the memory of a new container before its first request', async () => {
  await warm();
  const fresh = openCaches(redis, database, registered);
  expect(await hydrate(redis, Object.values(fresh), 30_000)).toMatchObject({ keys: 20 });
  expect(fresh.products.probe('product-7')).toMatchObject({ layer: 'hydrated' });
});

it('looks as the README shows it', () => {
  const file = readFileSync(new URL('../../../support/datasets/products.ts', import.meta.url), 'utf8');
  const inPlace = file.replaceAll('../../../shared/datasets/', './').replaceAll('../../../shared/', '../');
  expect(readFileSync('README.md', 'utf8')).toContain(`\`\`\`ts\n${sortImports(inPlace)}\`\`\``);
});

/** In their new place other paths come first. */
function sortImports(code: string): string {
  const imports = code.split('\n').filter((line) => line.startsWith('import '));
  const path = (line: string) => /from '(.+)'/.exec(line)?.[1] ?? '';
  const sorted = imports.toSorted((a, b) => (path(a) < path(b) ? -1 : 1));
  return code.replace(imports.join('\n'), sorted.join('\n'));
}
