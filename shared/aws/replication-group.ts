/** What AWS says of the ElastiCache replication group behind Redis, also while Redis itself says nothing. */
import {
  DescribeReplicationGroupsCommand,
  ElastiCacheClient,
  type ReplicationGroup,
} from '@aws-sdk/client-elasticache';
import { hasPassed } from '../clock.ts';
import { NotFoundError, OperationTimeoutError } from '../errors.ts';
import { log } from '../logger.ts';
import { within } from '../within.ts';

/** In AWS's own words, such as `available`, `modifying`, `enabled`. */
export type ReplicationGroupFacts = {
  readonly id: string;
  readonly status: string;
  readonly engine: string;
  readonly nodeType: string;
  readonly clusterMode: string;
  readonly multiAz: string;
  readonly automaticFailover: string;
  readonly nodes: number;
};

/** Null when AWS could not tell. */
export type ReadReplicationGroup = () => Promise<ReplicationGroupFacts | null>;

const DEADLINE_MS = 1_000;
/** AWS throttles these calls for the whole account, and what they tell changes over minutes. */
const REMEMBERED_MS = 60_000;

// A second try, because a connection that was kept over a freeze may be dead; the deadline holds for both.
const elasticache = new ElastiCacheClient({ maxAttempts: 2 });

/** An answer is remembered; a failure is not, so that the next call tries again. */
export function replicationGroupReader(id: string): ReadReplicationGroup {
  let facts: ReplicationGroupFacts | undefined;
  let toldAtMs = 0;
  return async () => {
    if (facts !== undefined && !hasPassed(REMEMBERED_MS, toldAtMs)) return facts;
    try {
      facts = factsOf(id, await describe(id));
      toldAtMs = Date.now();
      return facts;
    } catch (error) {
      log.warn('replication_group.unreadable', 'The replication group could not be described.', {
        replicationGroupId: id,
        error,
      });
      return null;
    }
  };
}

async function describe(id: string): Promise<ReplicationGroup> {
  const abandoned = new AbortController();
  const command = new DescribeReplicationGroupsCommand({ ReplicationGroupId: id });
  const answer = await within(DEADLINE_MS, elasticache.send(command, { abortSignal: abandoned.signal }));
  if (answer === undefined) {
    abandoned.abort();
    throw new OperationTimeoutError('DescribeReplicationGroups', DEADLINE_MS);
  }
  const [group] = answer.ReplicationGroups ?? [];
  if (group === undefined) throw new NotFoundError(`AWS knows no replication group ${id}.`);
  return group;
}

/** In the service's description every field is optional; what it leaves out is said to be unknown. */
function factsOf(id: string, group: ReplicationGroup): ReplicationGroupFacts {
  const { Status, Engine, CacheNodeType, ClusterMode, MultiAZ, AutomaticFailover, MemberClusters } = group;
  return {
    id,
    status: Status ?? 'unknown',
    engine: Engine ?? 'unknown',
    nodeType: CacheNodeType ?? 'unknown',
    clusterMode: ClusterMode ?? 'unknown',
    multiAz: MultiAZ ?? 'unknown',
    automaticFailover: AutomaticFailover ?? 'unknown',
    nodes: MemberClusters?.length ?? 0,
  };
}
