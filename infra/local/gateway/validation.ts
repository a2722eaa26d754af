/** Refuses what a request validator refuses: a request without a required parameter, or with a body of another form. */
import type { ValidationSpec } from '../../assembly/validation-spec.ts';
import { findHeader, type HttpRequest } from './http-request.ts';
import { Refusal } from './refusal.ts';

/** @throws Refusal (400), whose message is API Gateway's own. */
export function validate(request: HttpRequest, spec: ValidationSpec): void {
  const missing = findMissing(request, spec);
  if (missing.length > 0) {
    const message = `Missing required request parameters: [${missing.join(', ')}]`;
    throw new Refusal('BAD_REQUEST_PARAMETERS', message);
  }
  if (spec.objectBody && isJson(request) && !isObjectOrEmpty(request.body.toString('utf8')))
    throw new Refusal('BAD_REQUEST_BODY', 'Invalid request body');
}

/** A parameter that is blank is missing. */
function findMissing(request: HttpRequest, { headers, query }: ValidationSpec): string[] {
  const parameters = new URLSearchParams(request.query);
  return [
    ...headers.filter((name) => !findHeader(request, name)),
    ...query.filter((name) => !parameters.get(name)),
  ];
}

/** A body without a media type is taken for JSON. */
function isJson(request: HttpRequest): boolean {
  const mediaType = findHeader(request, 'content-type')?.split(';')[0]?.trim().toLowerCase();
  return mediaType === undefined || mediaType === 'application/json';
}

/** An empty body counts as `{}`. */
function isObjectOrEmpty(body: string): boolean {
  try {
    const value: unknown = JSON.parse(body || '{}');
    return value !== null && typeof value === 'object' && !Array.isArray(value);
  } catch {
    return false;
  }
}
