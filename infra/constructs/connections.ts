/** How the service reaches what other stacks made or somebody else runs: the seam between the stacks. */
import type { ISecurityGroup, IVpc } from 'aws-cdk-lib/aws-ec2';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import type { DatabaseUser } from '../users.ts';

/** A VPC, its private subnets by id, and the security group that its servers let in. */
export type Network = {
  readonly vpc: IVpc;
  readonly subnetIds: readonly string[];
  readonly clients: ISecurityGroup;
};

export type ReplicationGroup = { readonly id: string; readonly arn: string };

export type RedisConnection = {
  /** May hold a reference to a secret, which CloudFormation resolves when it deploys. */
  readonly url: string;
  /** Told of by `GET /admin/status`. @default - not an ElastiCache replication group of ours */
  readonly replicationGroup?: ReplicationGroup;
};

export type DatabaseConnection = {
  /** One for each user. Without passwords where the functions authenticate by their roles. */
  readonly urls: Readonly<Record<DatabaseUser, string>>;
  readonly isRdsProxy: boolean;
  /** By the database's roles, the passwords that the migrations give them. @default - somebody else does, or nobody */
  readonly logins?: Readonly<Record<string, string>> | undefined;
  /** Lets a function's role connect as one user. @default - whoever knows the URL may */
  readonly grantConnect?: (grantee: IGrantable, user: DatabaseUser) => void;
};

/** Where in a VPC the network interfaces of functions live. */
export type VpcPlacement = { readonly subnetIds: readonly string[]; readonly securityGroupId: string };

/** All that the functions connect to. */
export type Connections = {
  readonly redis: RedisConnection;
  readonly database: DatabaseConnection;
  readonly pushgatewayUrl?: string | undefined;
  /** @default - reachable without a VPC */
  readonly placement?: VpcPlacement | undefined;
};

/** Who issues the tokens, as the authorizer must know it. */
export type Issuer = {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly jwksUri: string;
  /** By the stage's name of a client, what tokens call it (`client_id` or `azp`). @default - the same name */
  readonly clientIds?: Readonly<Record<string, string>>;
  /** What the issuer puts before a scope: `prewarm/` for `prewarm/users:read`. @default - nothing */
  readonly scopePrefix?: string;
};
