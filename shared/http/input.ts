/** Reads what callers send: a schema for each input, whose message says what was expected. */
import type * as z from 'zod/mini';
import { InvalidInputError } from '../errors.ts';

/** Made by its first use: building all schemas takes 3 ms of a cold start, and most containers need one or two. */
export function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** Throws `InvalidInputError` that names the field, within `field` where that is not empty, and what was expected of it. */
export function parse<Schema extends z.ZodMiniType>(
  field: string,
  schema: () => Schema,
  value: unknown,
): z.output<Schema> {
  const result = schema().safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = [field, ...(issue?.path ?? [])].filter((part) => part !== '').join('.');
  throw new InvalidInputError(path, issue?.message ?? '');
}
