/** The local stage: what a cloud assembly describes, running on this machine. It prints nothing. */
import { randomUUID } from 'node:crypto';
import { localAccount, localRegion } from '../assembly/intrinsics.ts';
import { type CustomResourceSpec, readTemplate } from '../assembly/template.ts';
import { createFunctions, type Functions } from './containers/containers.ts';
import type { ControlServer } from './control-server.ts';
import { startGateway } from './gateway/gateway.ts';
import { closeServer, originOf } from './http.ts';
import { logLine } from './log-line.ts';
import type { ProcessWatcher } from './processes/run.ts';
import { startSchedules } from './schedule.ts';

export type LocalStage = Awaited<ReturnType<typeof startStage>>;

type StageOptions = {
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

export async function startStage({ freeze = false, ...options }: StageOptions) {
  const { control, log, assemblyDir } = options;
  const template = readTemplate(assemblyDir);
  const traceId = `stage-${randomUUID()}`;
  for (const what of template.unsupported) log(logLine('info', `Not run on this machine: ${what}`, traceId));
  const functions = createFunctions(template.functions, { ...options, lambdaEndpoint: control.url, freeze });
  control.serve(functions);
  const server = await startGateway({ ...options, api: template.api, functions });
  const stopSchedules = startSchedules(template.schedules, ({ functionName, input }) => {
    void functions.invoke(functionName, JSON.stringify(input), 'Event');
  });
  return {
    /** `http://127.0.0.1:PORT` */
    url: originOf(server),

    /**
     * Creates the custom resources one after the other, each after those that it depends on, as CloudFormation does:
     * migrations, deployment hook. `around` gets the folder of each one's function, and creates it where it wants to.
     * @throws with the function's reason.
     */
    async deploy(
      around: (folder: string, create: () => Promise<void>) => Promise<void> = (_, create) => create(),
    ): Promise<void> {
      for (const resource of template.customResources) {
        const { folder = '' } = template.functions.find(({ name }) => name === resource.functionName) ?? {};
        await around(folder, () => createResource(resource, template.stackName, functions, control));
      }
    },

    onInvocation: functions.onInvocation,

    /** Ends the server, the timers and every container. */
    async stop(): Promise<void> {
      stopSchedules();
      await Promise.all([functions.stop(), closeServer(server)]);
    },
  };
}

/** CloudFormation would wait for the whole timeout; here a function that ended without an answer is reported at once. */
async function createResource(
  { logicalId, type, functionName, properties }: CustomResourceSpec,
  stackName: string,
  functions: Functions,
  control: ControlServer,
): Promise<void> {
  const { responseUrl, answer, forget } = control.expectAnswer();
  const event = {
    RequestType: 'Create',
    RequestId: randomUUID(),
    ResponseURL: responseUrl,
    StackId: `arn:aws:cloudformation:${localRegion}:${localAccount}:stack/${stackName}/local`,
    ResourceType: type,
    LogicalResourceId: logicalId,
    ResourceProperties: properties,
  };
  try {
    const outcome = await functions.invoke(functionName, JSON.stringify(event), 'Event');
    const { Status, Reason } = answer() ?? {};
    if (Status === 'SUCCESS') return;
    if (Status === 'FAILED') throw new Error(Reason ?? `${logicalId} failed without a reason`);
    if (!outcome) throw new Error(`${logicalId} has no function`);
    if (outcome.kind === 'answered')
      throw new Error(`${logicalId}: its function ended without sending an answer`);
    throw new Error(outcome.error.errorMessage);
  } finally {
    forget();
  }
}
