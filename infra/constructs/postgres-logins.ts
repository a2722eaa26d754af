/** The roles by which functions read and warm: a secret each, which the proxy signs in with and the migrations set. */
import { RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { databaseRoles } from '../users.ts';
import { readFromOutside } from './secret-reference.ts';

export class PostgresLogins extends Construct {
  /** As RDS Proxy wants them: `username` and `password`. */
  readonly secrets: readonly ISecret[];
  /** By role, the passwords as another stack refers to them. */
  readonly passwords: Readonly<Record<string, string>>;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const reader = createLogin(this, 'Reader', databaseRoles.reader);
    const warmer = createLogin(this, 'Warmer', databaseRoles.warmer);
    this.secrets = [reader, warmer] as ISecret[]; // their full ARN may be undefined, which the interface's may not
    this.passwords = {
      [databaseRoles.reader]: readFromOutside(this, 'ReaderArn', reader, 'password'),
      [databaseRoles.warmer]: readFromOutside(this, 'WarmerArn', warmer, 'password'),
    };
  }
}

/** Without signs, because it travels as JSON to the function that sets it. */
function createLogin(scope: Construct, id: string, username: string): Secret {
  const secret = new Secret(scope, id, {
    description: `${Stack.of(scope).stackName}: the login ${username} of Postgres`,
    generateSecretString: {
      secretStringTemplate: JSON.stringify({ username }),
      generateStringKey: 'password',
      passwordLength: 64,
      excludePunctuation: true,
    },
    removalPolicy: RemovalPolicy.DESTROY, // a database that is restored is given another one
  });
  Validations.of(secret).acknowledge({
    id: 'AwsSolutions-SMG4',
    reason: 'Only the proxy and the migrations know it, and these set it: it is replaced by a deploy.',
  });
  return secret;
}
