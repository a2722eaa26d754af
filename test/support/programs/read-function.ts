/** The real read function, as Lambda starts a container with it, to be asked as API Gateway does. */
import type { APIGatewayProxyEvent, Context } from 'aws-lambda';
import { offer } from './offer.ts';

export type ReadFunctionActions = typeof actions;

type Asked = {
  readonly resource: string;
  readonly pathParameters?: Readonly<Record<string, string>>;
  readonly queryStringParameters?: Readonly<Record<string, string>>;
};

const { handler } = await import('../../../functions/read/handler.ts');

const actions = {
  get: (asked: Asked) => {
    const authorizer = { scope: 'users:read', exp: '9999999999' };
    const event = { ...asked, httpMethod: 'GET', requestContext: { requestId: 'request', authorizer } };
    return handler(event as unknown as APIGatewayProxyEvent, {} as Context);
  },
};

offer(actions);
