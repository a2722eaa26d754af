/** What a method's request validator looks at: parameters that must be there, and the model of a JSON body. */
import type { Scope } from './intrinsics.ts';
import { type Properties, propertiesOf } from './resources.ts';

export type ValidationSpec = {
  readonly query: readonly string[];
  /** In lower case. */
  readonly headers: readonly string[];
  /** Whether a JSON body must be an object, which is all that API Gateway's own model `Empty` asks for. */
  readonly objectBody: boolean;
};

/** Of a media type without a model API Gateway looks at nothing. */
const mediaType = 'application/json';

/**
 * Undefined for a method without a validator. Models of the template are not looked at here, and the list of what does
 * nothing names them.
 */
export function readValidation(method: Properties, scope: Scope): ValidationSpec | undefined {
  const validator = scope.resources[String(method['RequestValidatorId'])];
  if (!validator) return undefined;
  const { ValidateRequestParameters, ValidateRequestBody } = propertiesOf(validator, scope);
  const required = ValidateRequestParameters === true ? requiredParameters(method) : [];
  const models = (method['RequestModels'] ?? {}) as Record<string, unknown>;
  return {
    query: namesAfter('method.request.querystring.', required),
    headers: namesAfter('method.request.header.', required).map((name) => name.toLowerCase()),
    objectBody: ValidateRequestBody === true && models[mediaType] === 'Empty',
  };
}

function requiredParameters({ RequestParameters = {} }: Properties): string[] {
  return Object.entries(RequestParameters as Record<string, boolean>).flatMap(([name, isRequired]) =>
    isRequired ? [name] : [],
  );
}

function namesAfter(prefix: string, parameters: readonly string[]): string[] {
  return parameters.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
}
