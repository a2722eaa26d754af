/** The REST API with our defaults: regional, access logs, keys chosen by the authorizer, problems as gateway responses. */
import { Duration, RemovalPolicy, Size, Stack, Validations } from 'aws-cdk-lib';
import {
  ApiKeySourceType,
  AuthorizationType,
  RestApi as CdkRestApi,
  type CfnRestApi,
  type CfnStage,
  EndpointType,
  IpAddressType,
  LambdaIntegration,
  LogGroupLogDestination,
  type Method,
  type MethodOptions,
  Model,
  type RequestValidator,
  TokenAuthorizer,
} from 'aws-cdk-lib/aws-apigateway';
import type { Alias, IFunction } from 'aws-cdk-lib/aws-lambda';
import type { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { HttpMethod, Route } from '../../shared/routes.ts';
import type { Domain, Firewall as FirewallSettings, Throttle } from '../stage-config.ts';
import { accessLogFormat, createAccessLogs } from './access-logs.ts';
import { CustomDomain, tls } from './custom-domain.ts';
import { Firewall } from './firewall.ts';
import { gatewayResponses } from './gateway-responses.ts';

/** In the API's own address, and in its metrics. */
export const apiStageName = 'live';

export type RestApiProps = {
  readonly authorizer: IFunction;
  readonly logRetention: RetentionDays;
  /** Told to a client that is throttled. */
  readonly readThrottle: Throttle;
  readonly searchThrottle: Throttle;
  /** Then the address that API Gateway gives is closed. @default - that address */
  readonly domain?: Domain | undefined;
  /** @default - no web application firewall */
  readonly firewall?: FirewallSettings | undefined;
};

export type RouteTarget = IFunction | Alias;

/** What API Gateway refuses a request for, before the function is called. The function validates everything all the same. */
type RequestRules = Pick<Route, 'requiredQuery' | 'takesJson'>;

/** How long a verified token is remembered: a revoked one may be used for this long. */
const authorizerCacheTtl = Duration.minutes(5);

/** Anything else is refused by API Gateway, which costs nothing. */
const bearerToken = '^[Bb][Ee][Aa][Rr][Ee][Rr] [A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]+$';

/** What fits into one packet is there no sooner when it is smaller; a list of users is up to 50 kB of much the same text. */
const minCompressionSize = Size.bytes(1_400);

/**
 * Of all callers together, since without a token nobody is told from others: enough for a dozen monitors that ask at once,
 * and so little that a flood takes none of the readers' containers. An answer is a second old at most, and takes no work.
 */
const openThrottle: Throttle = { ratePerSecond: 50, burst: 100 };

export class RestApi extends CdkRestApi {
  /** Where callers reach the API: its domain, or the address that API Gateway gives. */
  readonly address: string;
  readonly #authorizer: TokenAuthorizer;
  readonly #validator: RequestValidator;

  constructor(scope: Construct, id: string, props: RestApiProps) {
    const accessLogs = createAccessLogs(scope, `${id}AccessLogs`, props.logRetention);
    super(scope, id, {
      restApiName: Stack.of(scope).stackName,
      description: 'Prewarm: users by id and by search, and the administration of their cache',
      endpointConfiguration: {
        types: [EndpointType.REGIONAL],
        ipAddressType: IpAddressType.DUAL_STACK,
      },
      disableExecuteApiEndpoint: props.domain !== undefined,
      apiKeySourceType: ApiKeySourceType.AUTHORIZER,
      minCompressionSize,
      cloudWatchRole: true, // access logs need the account's role, which a new account does not have
      cloudWatchRoleRemovalPolicy: RemovalPolicy.RETAIN, // one for the whole account: others may use it
      deployOptions: {
        stageName: apiStageName,
        metricsEnabled: true,
        accessLogDestination: new LogGroupLogDestination(accessLogs),
        accessLogFormat: accessLogFormat(),
      },
    });
    const resource = this.node.defaultChild as CfnRestApi;
    resource.securityPolicy = tls.securityPolicy;
    resource.endpointAccessMode = tls.endpointAccessMode;
    this.#authorizer = new TokenAuthorizer(this, 'Authorizer', {
      handler: props.authorizer,
      resultsCacheTtl: authorizerCacheTtl,
      validationRegex: bearerToken,
    });
    this.#validator = this.addRequestValidator('Validator', {
      validateRequestParameters: true,
      validateRequestBody: true,
    });
    for (const [name, options] of Object.entries(gatewayResponses(props)))
      this.addGatewayResponse(name, options);
    this.address = this.#open(props);
    acknowledge(this, props);
  }

  #open({ domain, firewall }: RestApiProps): string {
    if (firewall) new Firewall(this, 'Firewall', { ...firewall, stage: this.deploymentStage });
    this.node.tryRemoveChild('Endpoint'); // an output with the address that a domain closes
    return domain ? new CustomDomain(this, 'Domain', { api: this, domain }).url : this.url;
  }

  /** A route for callers with a token; the usage plan counts its requests. */
  addProtectedRoute(method: HttpMethod, path: string, target: RouteTarget, rules: RequestRules = {}): Method {
    return this.root.resourceForPath(path).addMethod(method, integrate(target), {
      authorizer: this.#authorizer,
      authorizationType: AuthorizationType.CUSTOM,
      apiKeyRequired: true,
      ...this.#validate(rules),
    });
  }

  /**
   * Of a body only that it is an object: which field of it is wrong, the function says, and a gateway response cannot, since
   * what API Gateway tells about it has quotes of its own and would break the JSON around it. An empty body counts as `{}`.
   */
  #validate({ requiredQuery = [], takesJson = false }: RequestRules): MethodOptions {
    if (requiredQuery.length === 0 && !takesJson) return {};
    const parameters = requiredQuery.map((name) => [`method.request.querystring.${name}`, true] as const);
    return {
      requestValidator: this.#validator,
      requestParameters: Object.fromEntries(parameters),
      ...(takesJson && { requestModels: { 'application/json': Model.EMPTY_MODEL } }),
    };
  }

  /** A route for everyone. */
  addOpenRoute(method: HttpMethod, path: string, target: RouteTarget): Method {
    const route = this.root.resourceForPath(path).addMethod(method, integrate(target), {
      authorizationType: AuthorizationType.NONE,
    });
    this.#throttle(method, path, openThrottle);
    const reason =
      'Load balancers and monitors ask for the health without a token; it says nothing about users.';
    Validations.of(route).acknowledge(
      { id: 'AwsSolutions-APIG4', reason },
      { id: 'AwsSolutions-COG4', reason },
    );
    return route;
  }

  /** Settings of a method replace those of the whole stage, so metrics are asked for again. */
  #throttle(method: HttpMethod, path: string, { ratePerSecond, burst }: Throttle): void {
    const stage = this.deploymentStage.node.defaultChild as CfnStage;
    const settings: CfnStage.MethodSettingProperty = {
      httpMethod: method,
      resourcePath: `/${path.replaceAll('/', '~1')}`,
      metricsEnabled: true,
      throttlingRateLimit: ratePerSecond,
      throttlingBurstLimit: burst,
    };
    stage.methodSettings = [...(stage.methodSettings as CfnStage.MethodSettingProperty[]), settings];
  }
}

/** `allowTestInvoke` would add a second permission to each function for the console's test button. */
function integrate(target: RouteTarget): LambdaIntegration {
  // An alias is a function, but that its optional role may be undefined, which the interface's may not.
  return new LambdaIntegration(target as IFunction, { allowTestInvoke: false });
}

function acknowledge(api: RestApi, { firewall }: RestApiProps): void {
  Validations.of(api).acknowledge(
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
  if (!firewall)
    Validations.of(api).acknowledge({
      id: 'AwsSolutions-APIG3',
      reason: "This stage's settings ask for no web application firewall.",
    });
}
