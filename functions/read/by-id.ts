/** Answers reads of a dataset by its ids, one or several: what every dataset that has ids can be asked for. */
import type { CacheRead, Layer, TieredCache } from '../../shared/cache/tiered-cache.ts';
import type { Dataset } from '../../shared/datasets/dataset.ts';
import { InvalidInputError, NotFoundError } from '../../shared/errors.ts';
import { type Answer, answerJson } from '../../shared/http/answer.ts';
import type { ApiRequest } from '../../shared/http/api.ts';
import { RETRY_AFTER_SECONDS } from '../../shared/http/problem.ts';

const IDS_MAX = 100;

type Named<Id> = {
  readonly dataset: Pick<Dataset<Id>, 'key' | 'idOf'>;
  /** What an id must be, for whoever sends something else: "an integer from 1 to 10". */
  readonly expectedId: string;
};

type Readable<Id> = Named<Id> & {
  readonly cache: TieredCache<Id>;
  /** What one of them is called: "There is no user 7." */
  readonly one: string;
};

type Answering = (request: ApiRequest) => Promise<Answer>;

/** One, by the id in the path's parameter of that name. Answers 404 where there is no such thing. */
export function readOne<Id>(readable: Readable<Id>, parameter: string): Answering {
  const { cache, one } = readable;
  return async ({ pathParameters }) => {
    const id = parseId(readable, parameter, pathParameters?.[parameter]);
    const read = await cache.get(id);
    if (read.json === null) throw new NotFoundError(`There is no ${one} ${readable.dataset.key(id)}.`);
    return answerRead(read.json, read.layer);
  };
}

/** Several, by the ids in the query's parameter of that name. */
export function readSeveral<Id>(readable: Readable<Id>, parameter: string): Answering {
  return async ({ queryStringParameters }) => {
    const ids = parseIds(readable, parameter, queryStringParameters?.[parameter]);
    const { reads, failure } = await readable.cache.getKnown(ids);
    const known = reads.filter((read) => read !== undefined);
    if (failure !== undefined && known.length === 0) throw failure;
    const answer = answerRead(listOf(ids, reads), coldestLayer(known));
    return failure === undefined ? answer : { ...answer, headers: { ...answer.headers, ...TRY_AGAIN } };
  };
}

/** The value as an answer, with the layer that it came from in `x-cache`. */
export function answerRead(json: string, layer: Layer): Answer {
  return answerJson(json, { 'x-cache': layer });
}

/** One id has one spelling: another one of the same would be cached and counted apart. */
export function parseId<Id>({ dataset, expectedId }: Named<Id>, field: string, text: string | undefined): Id {
  const id = text === undefined ? undefined : dataset.idOf(text);
  if (id === undefined || dataset.key(id) !== text) throw new InvalidInputError(field, expectedId);
  return id;
}

export function parseIds<Id>(named: Named<Id>, field: string, text: string | undefined): Id[] {
  const texts = text?.split(',') ?? [];
  if (texts.length === 0 || texts.length > IDS_MAX)
    throw new InvalidInputError(field, `1 to ${IDS_MAX} ids, separated by commas`);
  return texts.map((each, place) => parseId(named, `${field}.${place}`, each));
}

/** Postgres is away, and some of what was asked for is known all the same. */
const TRY_AGAIN = { 'retry-after': String(RETRY_AFTER_SECONDS) };

/**
 * The texts of the values go into the body as they are; ids without a value are named, and, where there are any, those of
 * which nobody can tell at the moment.
 */
function listOf<Id>(ids: readonly Id[], reads: readonly (CacheRead | undefined)[]): string {
  const items = reads.flatMap((read) => read?.json ?? []);
  const missing = ids.filter((_, index) => reads[index]?.json === null);
  const unavailable = ids.filter((_, index) => reads[index] === undefined);
  const rest = unavailable.length === 0 ? '' : `,"unavailable":${JSON.stringify(unavailable)}`;
  return `{"items":[${items.join(',')}],"missing":${JSON.stringify(missing)}${rest}}`;
}

/** An answer of several reads is as warm as its coldest part. */
const COLDEST_FIRST: readonly Layer[] = ['miss', 'stale', 'l2', 'hydrated', 'l1'];

function coldestLayer(reads: readonly CacheRead[]): Layer {
  return COLDEST_FIRST.find((layer) => reads.some((read) => read.layer === layer)) ?? 'l1';
}
