/** The local stage: what a cloud assembly describes, running on this machine. It prints nothing. */
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { localAccount, localRegion } from '../assembly/intrinsics.ts';
import { type CustomResourceSpec, type LocalTemplate, readTemplate } from '../assembly/template.ts';
import type { Outcome } from './containers/container.ts';
import { createFunctions, type DoneInvocation, type Functions } from './containers/containers.ts';
import { type ControlServer, closeServer, type ResourceAnswer } from './control-server.ts';
import { startGateway } from './gateway/gateway.ts';
import { logLine } from './log-line.ts';
import type { ProcessWatcher } from './processes/run.ts';
import { startSchedules } from './schedule.ts';

export type LocalStage = {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /**
   * Creates the custom resources one after the other, each after those that it depends on, as CloudFormation does:
   * migrations, deployment hook. `around` gets the folder of each one's function, and creates it where it wants to.
   * @throws with the function's reason.
   */
  deploy(around?: AroundResource): Promise<void>;
  /** The answer takes the listener off again. */
  onInvocation(listener: (done: DoneInvocation) => void): () => void;
  /** Ends the server, the timers and every container. */
  stop(): Promise<void>;
};

type AroundResource = (folder: string, create: () => Promise<void>) => Promise<void>;

export type StageOptions = {
  readonly assemblyDir: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly control: ControlServer;
  readonly containersPerFunction: number;
  /** Takes each line that a function writes, and what the runner has to say about them. */
  readonly log: (line: string) => void;
  /** @default false */
  readonly freeze?: boolean;
  /** @default - nobody is told of the containers' processes */
  readonly watcher?: ProcessWatcher;
};

type Deployment = {
  readonly template: LocalTemplate;
  readonly functions: Functions;
  readonly control: ControlServer;
};

export async function startStage(options: StageOptions): Promise<LocalStage> {
  const template = readTemplate(options.assemblyDir);
  const traceId = `stage-${randomUUID()}`;
  for (const what of template.unsupported)
    options.log(logLine('info', `Not run on this machine: ${what}`, traceId));
  const functions = createFunctions(template.functions, {
    ...options,
    lambdaEndpoint: options.control.url,
    freeze: options.freeze ?? false,
  });
  options.control.serve(functions);
  const stopSchedules = startSchedules(template.schedules, ({ functionName, input }) => {
    void functions.invoke(functionName, JSON.stringify(input), 'Event');
  });
  const server = await startGateway({ ...options, api: template.api, functions }).catch(async (error) => {
    stopSchedules();
    await functions.stop();
    throw error;
  });
  const deployment: Deployment = { template, functions, control: options.control };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    deploy: (around = (_, create) => create()) => createResources(deployment, around),
    onInvocation: functions.onInvocation,
    async stop() {
      stopSchedules();
      await Promise.all([functions.stop(), closeServer(server)]);
    },
  };
}

async function createResources(deployment: Deployment, around: AroundResource): Promise<void> {
  const { customResources, functions } = deployment.template;
  const folders = new Map(functions.map(({ name, folder }) => [name, folder]));
  for (const resource of customResources)
    await around(folders.get(resource.functionName) ?? '', () => createResource(deployment, resource));
}

async function createResource(
  { template, functions, control }: Deployment,
  resource: CustomResourceSpec,
): Promise<void> {
  const { responseUrl, answer, forget } = control.expectAnswer();
  const event = JSON.stringify(createEvent(resource, template.stackName, responseUrl));
  const invocation = functions.invoke(resource.functionName, event, 'Event');
  try {
    const { Status, Reason } = await Promise.race([answer, explainSilence(invocation, answer, resource)]);
    if (Status !== 'SUCCESS') throw new Error(Reason ?? `${resource.logicalId} failed without a reason`);
  } finally {
    forget();
  }
}

/** CloudFormation would wait for the whole timeout; here a function that ended without an answer is reported at once. */
async function explainSilence(
  invocation: Promise<Outcome | undefined>,
  answer: Promise<ResourceAnswer>,
  { logicalId }: CustomResourceSpec,
): Promise<ResourceAnswer> {
  const outcome = await invocation;
  if (outcome?.kind === 'answered') return await Promise.race([answer, silent(logicalId)]);
  return { Status: 'FAILED', Reason: outcome?.error.errorMessage ?? `${logicalId} has no function` };
}

/** The PUT came before the function ended, if it came; a second is for the socket. */
async function silent(logicalId: string): Promise<ResourceAnswer> {
  await new Promise((resolve) => setTimeout(resolve, 1000).unref());
  return { Status: 'FAILED', Reason: `${logicalId}: its function ended without sending an answer` };
}

function createEvent(
  { logicalId, type, properties }: CustomResourceSpec,
  stackName: string,
  responseUrl: string,
): object {
  return {
    RequestType: 'Create',
    RequestId: randomUUID(),
    ResponseURL: responseUrl,
    StackId: `arn:aws:cloudformation:${localRegion}:${localAccount}:stack/${stackName}/local`,
    ResourceType: type,
    LogicalResourceId: logicalId,
    ResourceProperties: properties,
  };
}
