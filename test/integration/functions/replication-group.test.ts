/** What AWS says of the replication group behind Redis: told, remembered for a minute, and never waited for. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ReadReplicationGroup } from '../../../shared/aws/replication-group.ts';
import { environment } from '../../../shared/environment.ts';
import { startAdmin } from '../../support/programs/start.ts';

/** Servers that refuse connections. */
const NOBODY = { redisUrl: 'redis://127.0.0.1:1', databaseUrl: 'postgres://nobody@127.0.0.1:1/none' };

/** What the service has to answer in. */
const DEADLINE_MS = 1_000;

/** The form of the service's answers: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_DescribeReplicationGroups.html */
const NAMESPACE = 'http://elasticache.amazonaws.com/doc/2015-02-02/';
const REQUEST_ID = '8c2a4d7e-1f0b-4a3c-9d5e-6b7f8091a2b3';

const DESCRIBED = `<DescribeReplicationGroupsResponse xmlns="${NAMESPACE}">
  <DescribeReplicationGroupsResult>
    <ReplicationGroups>
      <ReplicationGroup>
        <ReplicationGroupId>prewarm</ReplicationGroupId>
        <Description>Cache of Prewarm</Description>
        <Status>modifying</Status>
        <Engine>valkey</Engine>
        <CacheNodeType>cache.t4g.small</CacheNodeType>
        <ClusterEnabled>false</ClusterEnabled>
        <ClusterMode>disabled</ClusterMode>
        <MultiAZ>enabled</MultiAZ>
        <AutomaticFailover>enabling</AutomaticFailover>
        <MemberClusters>
          <ClusterId>prewarm-001</ClusterId>
          <ClusterId>prewarm-002</ClusterId>
        </MemberClusters>
        <NodeGroups>
          <NodeGroup>
            <NodeGroupId>0001</NodeGroupId>
            <Status>modifying</Status>
          </NodeGroup>
        </NodeGroups>
      </ReplicationGroup>
    </ReplicationGroups>
  </DescribeReplicationGroupsResult>
  <ResponseMetadata><RequestId>${REQUEST_ID}</RequestId></ResponseMetadata>
</DescribeReplicationGroupsResponse>`;

const NOT_FOUND = `<ErrorResponse xmlns="${NAMESPACE}">
  <Error>
    <Type>Sender</Type>
    <Code>ReplicationGroupNotFoundFault</Code>
    <Message>ReplicationGroup prewarm not found.</Message>
  </Error>
  <RequestId>${REQUEST_ID}</RequestId>
</ErrorResponse>`;

const FACTS = {
  id: 'prewarm',
  status: 'modifying',
  engine: 'valkey',
  nodeType: 'cache.t4g.small',
  clusterMode: 'disabled',
  multiAz: 'enabled',
  automaticFailover: 'enabling',
  nodes: 2,
};

type Respond = (response: ServerResponse) => void;
const describes: Respond = (response) => response.setHeader('content-type', 'text/xml').end(DESCRIBED);
const refuses: Respond = (response) => response.writeHead(404, { 'content-type': 'text/xml' }).end(NOT_FOUND);
const isSilent: Respond = () => {};
const stopsHalfway: Respond = (response) =>
  response.setHeader('content-type', 'text/xml').write(DESCRIBED.slice(0, 200));

let service: Server;
let respond: Respond;
let asked: string[];

beforeEach(async () => {
  asked = [];
  service = createServer((request: IncomingMessage, response) => {
    request.toArray().then((pieces) => {
      asked.push(Buffer.concat(pieces).toString());
      respond(response);
    });
  });
  await once(service.listen(0, '127.0.0.1'), 'listening');
  vi.resetModules();
  vi.stubEnv('AWS_REGION', 'eu-west-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${(service.address() as AddressInfo).port}`);
});
afterEach(() => {
  service.closeAllConnections();
  service.close();
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

/** With a client of its own, which knows the service of this test, and a clock that goes on when the test says so. */
async function openReader(): Promise<ReadReplicationGroup> {
  const { setLogLevel } = await import('../../../shared/logger.ts');
  setLogLevel(environment.logLevel());
  const { replicationGroupReader } = await import('../../../shared/aws/replication-group.ts');
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
  return replicationGroupReader('prewarm');
}

describe('the replication group', () => {
  it('is told of in the words of AWS', async () => {
    respond = describes;
    expect(await (await openReader())()).toEqual(FACTS);
    expect(asked).toEqual([expect.stringContaining('Action=DescribeReplicationGroups')]);
    expect(asked[0]).toContain('ReplicationGroupId=prewarm');
  });

  it('is asked about once a minute', async () => {
    respond = describes;
    const read = await openReader();
    await read();
    vi.setSystemTime(Date.now() + 59_000);
    expect(await read()).toEqual(FACTS);
    expect(asked).toHaveLength(1);
    vi.setSystemTime(Date.now() + 1_000);
    expect(await read()).toEqual(FACTS);
    expect(asked).toHaveLength(2);
  });

  it('is unknown when the service refuses, and asked about again', async () => {
    respond = refuses;
    const read = await openReader();
    expect(await read()).toBeNull();
    respond = describes;
    expect(await read()).toEqual(FACTS);
  });

  it('is unknown, and a warning says why', async () => {
    vi.stubEnv('LOG_LEVEL', 'warn');
    respond = refuses;
    const read = await openReader();
    const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    await read();
    const lines = written.mock.calls.map(([line]) => JSON.parse(String(line)));
    written.mockRestore();
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'warn',
        replicationGroupId: 'prewarm',
        error: expect.objectContaining({ name: 'ReplicationGroupNotFoundFault' }),
      }),
    ]);
  });

  it.each([
    ['says nothing', isSilent],
    ['stops halfway', stopsHalfway],
  ])('is unknown after a second when the service %s', async (_, silence) => {
    respond = silence;
    const read = await openReader();
    const told = vi.fn();
    const arrived = once(service, 'request');
    void read().then(told);
    await arrived;
    await vi.advanceTimersByTimeAsync(DEADLINE_MS - 1);
    expect(told).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toHaveBeenCalledExactlyOnceWith(null);
  });

  it('is unknown when nobody is there to ask', async () => {
    service.close();
    const read = await openReader();
    vi.useRealTimers(); // the client tries again after a while
    expect(await read()).toBeNull();
  });
});

describe('the status, while Redis is away', () => {
  async function openStatus(env: NodeJS.ProcessEnv): Promise<() => Promise<unknown>> {
    const admin = await startAdmin(NOBODY, env);
    return async () => (await admin.call('ask', 'GET', '/admin/status')).body;
  }

  it('tells of the replication group', async () => {
    respond = describes;
    const readStatus = await openStatus({ REDIS_REPLICATION_GROUP_ID: 'prewarm' });
    // A busy machine may not answer within the deadline; a failure is not remembered.
    await expect.poll(readStatus).toEqual({ redis: { available: false, replicationGroup: FACTS } });
  });

  it('tells the rest when the replication group is unknown', async () => {
    respond = refuses;
    const readStatus = await openStatus({ REDIS_REPLICATION_GROUP_ID: 'prewarm' });
    expect(await readStatus()).toEqual({ redis: { available: false, replicationGroup: null } });
  });

  it('says nothing of a replication group where there is none, and asks nobody', async () => {
    const readStatus = await openStatus({ REDIS_REPLICATION_GROUP_ID: '' });
    expect(await readStatus()).toEqual({ redis: { available: false } });
    expect(asked).toEqual([]);
  });
});
