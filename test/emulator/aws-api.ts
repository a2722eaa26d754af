/** Calls an AWS API of the emulator: what the tests ask and change beside the CDK command line. */
import aws4 from 'aws4';

export type AwsApi = {
  /** A REST call, as S3 and Lambda take it. Rejects when the answer is an error. */
  call(service: string, request: AwsRequest): Promise<string>;
  /** A call with parameters in a form, as CloudFormation and IAM take it; answers XML. */
  query(service: string, action: string, parameters: Readonly<Record<string, string>>): Promise<string>;
  /** A call with a JSON document, as EventBridge, SQS and CloudWatch Logs take it. */
  json<T>(target: JsonTarget, parameters: object): Promise<T>;
};

type AwsRequest = {
  readonly path: string;
  /** @default GET */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
};

type JsonTarget = { readonly service: string; readonly action: string };

/** Whom the emulator takes for the account's root user. */
export const emulatorCredentials = { accessKeyId: 'test', secretAccessKey: 'test' } as const;
export const emulatorAccount = '000000000000';
export const emulatorRegion = 'us-east-1';

const TIMEOUT_MS = 30_000;
const API_VERSIONS: Readonly<Record<string, string>> = { cloudformation: '2010-05-15', iam: '2010-05-08' };

export function awsApi(endpoint: string): AwsApi {
  const call: AwsApi['call'] = (service, request) => send(endpoint, service, request);
  return {
    call,
    query: (service, action, parameters) =>
      call(service, {
        path: '/',
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
        body: new URLSearchParams({
          Action: action,
          Version: API_VERSIONS[service] ?? '',
          ...parameters,
        }).toString(),
      }),
    json: async ({ service, action }, parameters) =>
      JSON.parse(
        (await call(service, {
          path: '/',
          method: 'POST',
          headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': action },
          body: JSON.stringify(parameters),
        })) || '{}',
      ),
  };
}

async function send(endpoint: string, service: string, { path, method = 'GET', headers, body }: AwsRequest) {
  const signed = aws4.sign(
    {
      host: new URL(endpoint).host,
      service,
      region: emulatorRegion,
      path,
      method,
      headers: { ...headers },
      ...(body !== undefined && { body }),
    },
    emulatorCredentials,
  );
  const answer = await fetch(new URL(path, endpoint), {
    method,
    // As if TLS had ended before the emulator: queues and buckets have policies that demand it.
    headers: { ...(signed.headers as Record<string, string>), 'x-forwarded-proto': 'https' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body !== undefined && { body }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${service} answered ${answer.status}: ${text.slice(0, 500)}`);
  return text;
}
