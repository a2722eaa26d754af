/** Why the gateway itself answers instead of a function: named as API Gateway names its gateway responses. */

/** The statuses that API Gateway answers with where the template gives none. */
const defaultStatuses = {
  ACCESS_DENIED: 403,
  AUTHORIZER_CONFIGURATION_ERROR: 500,
  AUTHORIZER_FAILURE: 500,
  BAD_REQUEST_BODY: 400,
  BAD_REQUEST_PARAMETERS: 400,
  INTEGRATION_TIMEOUT: 504,
  INVALID_API_KEY: 403,
  MISSING_AUTHENTICATION_TOKEN: 403,
  QUOTA_EXCEEDED: 429,
  REQUEST_TOO_LARGE: 413,
  THROTTLED: 429,
  UNAUTHORIZED: 401,
  // No types of their own there: `DEFAULT_5XX` with the status of the failure.
  FUNCTION_FAILED: 502,
  FUNCTION_THROTTLED: 500,
  // Of this runner alone: no template says how they look.
  FOREIGN_HOST: 403,
  NOT_IMPLEMENTED: 501,
};

type RefusalType = keyof typeof defaultStatuses;

export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly type: RefusalType;
  readonly status: number;

  constructor(type: RefusalType, message: string) {
    super(message);
    this.type = type;
    this.status = defaultStatuses[type];
  }
}
