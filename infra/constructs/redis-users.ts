/** Who may sign in to an ElastiCache of Valkey: the functions' user, and nobody else. */
import { RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { CfnUser, CfnUserGroup } from 'aws-cdk-lib/aws-elasticache';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import type { NewRedis } from '../stage-config.ts';
import { redisUser } from '../users.ts';
import { readFromOutside } from './secret-reference.ts';

export type RedisUsers = {
  readonly userGroupId: string;
  /** The functions' user's, as another stack refers to it. */
  readonly password: string;
};

const engine = 'valkey';

export function createUsers(scope: Construct, { passwordNumber = 1 }: NewRedis): RedisUsers {
  const [newest, ...older] = createPasswords(scope, passwordNumber);
  const passwords = [newest, ...older].map(({ secretValue }) => secretValue.unsafeUnwrap());
  const name = Stack.of(scope).stackName.toLowerCase();
  const functions = new CfnUser(scope, 'FunctionsUser', {
    engine,
    userId: `${name}-functions`,
    userName: redisUser.name,
    accessString: `on ${redisUser.access}`,
    passwords,
  });
  // Who gives no name is this one. It may not sign in; all users of Valkey must have a password.
  const byDefault = new CfnUser(scope, 'DefaultUser', {
    engine,
    userId: `${name}-default`,
    userName: 'default',
    accessString: 'off -@all',
    passwords,
  });
  const userIds = [functions.ref, byDefault.ref];
  const group = new CfnUserGroup(scope, 'UserGroup', { engine, userGroupId: name, userIds });
  return { userGroupId: group.ref, password: readFromOutside(scope, 'PasswordArn', newest) };
}

/**
 * The newest first, and the one before: a user may have two, so functions that run are not cut off while the service goes
 * over to the newest. The one before ends when the number is raised once more.
 */
function createPasswords(scope: Construct, newest: number): [Secret, ...Secret[]] {
  const password = createPassword(scope, newest);
  return newest > 1 ? [password, createPassword(scope, newest - 1)] : [password];
}

/** ElastiCache wants 16 to 128 characters and few of the signs; without signs it needs no escapes in a URL either. */
function createPassword(scope: Construct, number: number): Secret {
  const secret = new Secret(scope, `Password${number}`, {
    description: `${Stack.of(scope).stackName}: the password of Redis`,
    generateSecretString: { passwordLength: 64, excludePunctuation: true },
    removalPolicy: RemovalPolicy.DESTROY, // of use to nobody without the cache, also not with its snapshot
  });
  Validations.of(secret).acknowledge({
    id: 'AwsSolutions-SMG4',
    reason:
      'Functions have the password in their configuration: it is replaced by a deploy, not by a schedule.',
  });
  return secret;
}
