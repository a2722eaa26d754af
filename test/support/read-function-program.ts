/** The real read function in a process of its own: what `read-function` starts, as Lambda starts a container, and sends requests to. */
import type { APIGatewayProxyEvent, APIGatewayProxyResult, Context } from 'aws-lambda';

export type FunctionRequest = {
  readonly id: number;
  readonly resource: string;
  readonly pathParameters?: Readonly<Record<string, string>>;
  readonly queryStringParameters?: Readonly<Record<string, string>>;
};
/** The first one, with the id 0, says that the container is ready. */
export type FunctionAnswer = { readonly id: number; readonly answer?: APIGatewayProxyResult };

function toEvent({
  id,
  resource,
  pathParameters,
  queryStringParameters,
}: FunctionRequest): APIGatewayProxyEvent {
  const requestContext = {
    requestId: `request-${id}`,
    authorizer: { scope: 'users:read', exp: '9999999999' },
  };
  const event = { httpMethod: 'GET', resource, pathParameters, queryStringParameters, requestContext };
  return event as unknown as APIGatewayProxyEvent;
}

process.on('disconnect', () => process.exit(0));
const { handler } = await import('../../functions/read/handler.ts');
process.on('message', async (request: FunctionRequest) => {
  const answer: APIGatewayProxyResult = await handler(toEvent(request), {} as Context);
  process.send?.({ id: request.id, answer } satisfies FunctionAnswer);
});
process.send?.({ id: 0 } satisfies FunctionAnswer);
