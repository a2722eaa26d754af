/** A Redis Cluster of a test's own, whose nodes can be frozen, killed and brought back, and whose slots can be moved. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LOOPBACK } from '../../infra/local/servers/ports.ts';
import { atEnd } from './at-end.ts';
import { ClusterNode } from './cluster-node.ts';
import { claimFolder } from './own-folder.ts';

export type OwnCluster = {
  /** Names its first node. */
  readonly url: string;
  /** In the order of their slots. */
  readonly masters: readonly ClusterNode[];
  readonly replicas: readonly ClusterNode[];
  slotOf(key: string): Promise<number>;
  /** The node that has the key's slot now. */
  masterOf(key: string): Promise<ClusterNode>;
  /** How many pieces each master was sent while `work` went on: a pipeline comes as one. */
  piecesSentDuring(work: () => Promise<unknown>): Promise<number[]>;
  /** Begins to move the slot of `key` to another master. */
  beginMove(key: string): Promise<SlotMove>;
  /** Resolves when every node that runs knows of all slots who has them, and that all of those are there. */
  untilWhole(): Promise<void>;
};

/** While it goes on, the old master answers ASK for what it does not have any more; after `finish`, MOVED. */
export type SlotMove = {
  readonly slot: number;
  readonly from: ClusterNode;
  readonly to: ClusterNode;
  moveKeys(): Promise<void>;
  finish(): Promise<void>;
};

type ClusterOptions = {
  /** Of each of the three masters. @default 0 */
  readonly replicasEach?: number;
  /** Who does not answer for so long counts as failed. @default 30,000: longer than a test freezes a node */
  readonly nodeTimeoutMs?: number;
};

const MASTERS = 3;
const SLOTS = 16_384;
/** A master that has just started says that something is missing for two seconds. */
const WHOLE_DEADLINE_MS = 60_000;
const POLL_EVERY_MS = 20;
const START_TRIES_MAX = 3;

/** Resolves when the cluster is whole. Until the test is finished, or the file whose hook started it. */
export async function startOwnCluster(options: ClusterOptions = {}): Promise<OwnCluster> {
  for (let tries = 1; ; tries++) {
    try {
      return await startOnce(options);
    } catch (error) {
      // Between our look at the ports and the nodes' own, another program may have taken one.
      if (tries === START_TRIES_MAX) throw error;
    }
  }
}

async function startOnce({ replicasEach = 0, nodeTimeoutMs = 30_000 }: ClusterOptions): Promise<OwnCluster> {
  const { context } = await claimFolder('cluster');
  const nodes: ClusterNode[] = [];
  atEnd(() => Promise.all(nodes.map((node) => node.end())));
  while (nodes.length < MASTERS * (1 + replicasEach)) {
    nodes.push(await ClusterNode.plan(context, `Redis-${nodes.length + 1}`, nodeTimeoutMs));
  }
  await Promise.all(nodes.map((node) => node.start()));
  await form(nodes);
  return describe(nodes);
}

function describe(nodes: readonly ClusterNode[]): OwnCluster {
  const masters = nodes.slice(0, MASTERS);
  const [first] = masters as [ClusterNode];
  const slotOf = async (key: string) => Number(await first.admin.cluster('KEYSLOT', key));
  return {
    url: `redis-cluster://${LOOPBACK}:${first.port}`,
    masters,
    replicas: nodes.slice(MASTERS),
    slotOf,
    masterOf: async (key) => ownerOf(nodes, await slotOf(key)),
    async beginMove(key) {
      const slot = await slotOf(key);
      const from = await ownerOf(nodes, slot);
      return beginMove(slot, from, masters.find((node) => node !== from) as ClusterNode, masters);
    },
    async piecesSentDuring(work) {
      const before = await Promise.all(masters.map(countReads));
      await work();
      const after = await Promise.all(masters.map(countReads));
      return after.map((reads, index) => reads - (before[index] as number) - 1); // without the second question itself
    },
    untilWhole: () => untilWhole(nodes),
  };
}

async function countReads({ admin }: ClusterNode): Promise<number> {
  return Number(/^total_reads_processed:(\d+)/m.exec(await admin.info('stats'))?.[1]);
}

/** The slots of the master at `index` begin here. */
function firstSlotOf(index: number, masters: number): number {
  return Math.ceil((index * SLOTS) / masters);
}

async function ownerOf(nodes: readonly ClusterNode[], slot: number): Promise<ClusterNode> {
  const ranges = (await nodes[0]?.admin.cluster('SLOTS')) ?? [];
  const master = ranges.find(([first, last]) => first <= slot && slot <= last)?.[2];
  return nodes.find(({ port }) => port === master?.[1]) as ClusterNode;
}

type Member = Pick<ClusterNode, 'admin' | 'port' | 'busPort'>;

/** All slots among new nodes, which then get to know each other: that takes a while still. */
export async function shareSlots(masters: readonly Member[]): Promise<void> {
  for (const [index, { admin }] of masters.entries()) {
    const [first, next] = [index, index + 1].map((at) => firstSlotOf(at, masters.length)) as [number, number];
    await admin.cluster('ADDSLOTSRANGE', first, next - 1);
    // As of different times, so that no two nodes claim anything with equal right.
    await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
  }
  await introduce(masters);
}

async function introduce([first, ...others]: readonly Member[]): Promise<void> {
  for (const { port, busPort } of others) await first?.admin.call('CLUSTER', 'MEET', LOOPBACK, port, busPort);
}

/** The first masters share the slots out; the others become their replicas in turn. */
async function form(nodes: readonly ClusterNode[]): Promise<void> {
  const [masters, replicas] = [nodes.slice(0, MASTERS), nodes.slice(MASTERS)];
  await shareSlots(masters);
  await introduce([...masters.slice(0, 1), ...replicas]);
  await untilWhole(nodes);
  for (const [index, { admin }] of replicas.entries()) {
    await admin.cluster('REPLICATE', masters[index % MASTERS]?.id ?? '');
  }
  if (replicas.length > 0) await untilReplicated(nodes);
}

async function untilWhole(nodes: readonly ClusterNode[]): Promise<void> {
  const running = nodes.filter((node) => node.isRunning);
  const isWhole = async ({ admin }: ClusterNode) => {
    const info = (await admin.cluster('INFO')) as string;
    return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${nodes.length}`);
  };
  await until('The cluster is whole', async () => (await Promise.all(running.map(isWhole))).every(Boolean));
}

/** A replica that has not heard all cannot take over. */
function untilReplicated(nodes: readonly ClusterNode[]): Promise<void> {
  const isInSync = async ({ admin }: ClusterNode) =>
    (await admin.info('replication')).includes('master_link_status:up');
  const replicas = nodes.slice(MASTERS);
  return until('The replicas are in sync', async () =>
    (await Promise.all(replicas.map(isInSync))).every(Boolean),
  );
}

/** Asks again and again; what is not so after a minute never will be. */
export async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + WHOLE_DEADLINE_MS;
  while (!(await isSo())) {
    if (Date.now() > deadlineMs) throw new Error(`${what}: not within ${WHOLE_DEADLINE_MS} ms.`);
    await sleep(POLL_EVERY_MS);
  }
}

async function beginMove(
  slot: number,
  from: ClusterNode,
  to: ClusterNode,
  masters: readonly ClusterNode[],
): Promise<SlotMove> {
  await to.admin.cluster('SETSLOT', slot, 'IMPORTING', from.id);
  await from.admin.cluster('SETSLOT', slot, 'MIGRATING', to.id);
  return {
    slot,
    from,
    to,
    async moveKeys() {
      const keys = (await from.admin.cluster('GETKEYSINSLOT', slot, 10_000)) as string[];
      if (keys.length > 0) await from.admin.migrate(LOOPBACK, to.port, '', 0, 5_000, 'KEYS', ...keys);
    },
    async finish() {
      // The new master first: it must know before anybody is sent to it.
      for (const { admin } of new Set([to, from, ...masters])) {
        await admin.cluster('SETSLOT', slot, 'NODE', to.id);
      }
    },
  };
}
