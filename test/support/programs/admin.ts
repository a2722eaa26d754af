/** The real admin function in a process of its own, to be asked as API Gateway does. */
import type { APIGatewayProxyEvent, Context } from 'aws-lambda';
import { handler } from '../../../functions/admin/handler.ts';
import { offer } from './offer.ts';

export type AdminActions = typeof actions;

const actions = {
  async ask(httpMethod: 'GET' | 'POST', resource: string, body?: object) {
    const authorizer = { sub: 'oncall', scope: 'cache:admin', exp: '9999999999' };
    const event = {
      httpMethod,
      resource,
      headers: {},
      body: body === undefined ? null : JSON.stringify(body),
      requestContext: { requestId: 'request', authorizer },
    };
    const answer = await handler(event as unknown as APIGatewayProxyEvent, {} as Context);
    return { statusCode: answer.statusCode, body: JSON.parse(answer.body) as unknown };
  },
};

offer(actions);
