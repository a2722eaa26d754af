/** Refuses what a request validator refuses: a request without a required parameter, or with a body of another form. */
import type { ValidationSpec } from '../../assembly/validation-spec.ts';
import { findHeader, type HttpRequest } from './http-request.ts';
import { Refusal } from './refusal.ts';

/** @throws Refusal (400), whose message is API Gateway's own. */
export function validate(request: HttpRequest, { headers, query, objectBody }: ValidationSpec): void {
  const parameters = new URLSearchParams(request.query);
  // A parameter that is blank is missing.
  const missing = [
    ...headers.filter((name) => !findHeader(request, name)),
    ...query.filter((name) => !parameters.get(name)),
  ];
  if (missing.length > 0) {
    const message = `Missing required request parameters: [${missing.join(', ')}]`;
    throw new Refusal('BAD_REQUEST_PARAMETERS', message);
  }
  // A body without a media type is taken for JSON.
  const mediaType = findHeader(request, 'content-type')?.split(';')[0]?.trim().toLowerCase();
  const isJson = mediaType === undefined || mediaType === 'application/json';
  if (objectBody && isJson && !isObjectOrEmpty(request.body.toString('utf8')))
    throw new Refusal('BAD_REQUEST_BODY', 'Invalid request body');
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
