/** The REST API with our defaults: regional, access logs, keys chosen by the authorizer, problems as gateway responses. */
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import {
  AccessLogFormat,
  ApiKeySourceType,
  AuthorizationType,
  RestApi as CdkRestApi,
  EndpointType,
  LambdaIntegration,
  LogGroupLogDestination,
  type Method,
  TokenAuthorizer,
} from 'aws-cdk-lib/aws-apigateway';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { Throttle } from '../stage-config.ts';
import { gatewayResponses } from './gateway-responses.ts';

export type RestApiProps = {
  readonly authorizer: IFunction;
  readonly logRetention: RetentionDays;
  /** Told to a client that is throttled. */
  readonly readThrottle: Throttle;
};

export type HttpMethod = 'GET' | 'POST';

/** How long a verified token is remembered: a revoked one may be used for this long. */
const authorizerCacheTtl = Duration.minutes(5);

export class RestApi extends CdkRestApi {
  readonly #authorizer: TokenAuthorizer;

  constructor(scope: Construct, id: string, props: RestApiProps) {
    const accessLogs = createAccessLogs(scope, id, props.logRetention);
    super(scope, id, {
      restApiName: Stack.of(scope).stackName,
      endpointTypes: [EndpointType.REGIONAL],
      apiKeySourceType: ApiKeySourceType.AUTHORIZER,
      cloudWatchRole: true, // access logs need the account's role, which a new account does not have
      cloudWatchRoleRemovalPolicy: RemovalPolicy.RETAIN, // one for the whole account: others may use it
      deployOptions: {
        stageName: 'live',
        metricsEnabled: true,
        accessLogDestination: new LogGroupLogDestination(accessLogs),
        accessLogFormat: accessLogFormat(),
      },
    });
    this.#authorizer = new TokenAuthorizer(this, 'Authorizer', {
      handler: props.authorizer,
      resultsCacheTtl: authorizerCacheTtl,
    });
    for (const [name, options] of Object.entries(gatewayResponses(props.readThrottle)))
      this.addGatewayResponse(name, options);
    acknowledge(this);
  }

  /** A route for callers with a token; the usage plan counts its requests. */
  addProtectedRoute(method: HttpMethod, path: string, target: IFunction): Method {
    return this.root.resourceForPath(path).addMethod(method, integrate(target), {
      authorizer: this.#authorizer,
      authorizationType: AuthorizationType.CUSTOM,
      apiKeyRequired: true,
    });
  }

  /** A route for everyone. */
  addOpenRoute(method: HttpMethod, path: string, target: IFunction): Method {
    const route = this.root.resourceForPath(path).addMethod(method, integrate(target), {
      authorizationType: AuthorizationType.NONE,
    });
    const reason =
      'Load balancers and monitors ask for the health without a token; it says nothing about users.';
    Validations.of(route).acknowledge(
      { id: 'AwsSolutions-APIG4', reason },
      { id: 'AwsSolutions-COG4', reason },
    );
    return route;
  }
}

/** `allowTestInvoke` would add a second permission to each function for the console's test button. */
function integrate(target: IFunction): LambdaIntegration {
  return new LambdaIntegration(target, { allowTestInvoke: false });
}

function createAccessLogs(scope: Construct, id: string, retention: RetentionDays): LogGroup {
  return new LogGroup(scope, `${id}AccessLogs`, { retention, removalPolicy: RemovalPolicy.DESTROY });
}

/** One JSON object a line, without address, token or user: what the metrics and a trace need. */
function accessLogFormat(): AccessLogFormat {
  const fields = {
    traceId: '$context.requestId',
    method: '$context.httpMethod',
    route: '$context.resourcePath',
    status: '$context.status',
    error: '$context.error.responseType',
    latencyMs: '$context.responseLatency',
    integrationLatencyMs: '$context.integrationLatency',
  };
  return AccessLogFormat.custom(JSON.stringify(fields));
}

function acknowledge(api: RestApi): void {
  Validations.of(api).acknowledge(
    {
      id: 'AwsSolutions-APIG2',
      reason: 'The functions validate all input by schema and name the field that is wrong.',
    },
    { id: 'AwsSolutions-APIG3', reason: 'A web application firewall is the choice of each account.' },
    {
      id: 'AwsSolutions-APIG6',
      reason: 'Access logs and the functions tell all; execution logs hold bodies.',
    },
    { id: 'AwsSolutions-COG4', reason: 'A Lambda authorizer takes any OIDC issuer, Cognito included.' },
    {
      id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]',
      reason: "The policy that AWS keeps for the account's API Gateway log role.",
    },
  );
}
