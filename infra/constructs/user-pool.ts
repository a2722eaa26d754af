/** A Cognito user pool without users: it issues tokens to programs, each a client with an id and a secret of its own. */
import { Duration, RemovalPolicy, Tags, Validations } from 'aws-cdk-lib';
import {
  AccountRecovery,
  FeaturePlan,
  Mfa,
  OAuthScope,
  ResourceServerScope,
  UserPool,
  type UserPoolClient,
  type UserPoolDomain,
  type UserPoolResourceServer,
} from 'aws-cdk-lib/aws-cognito';
import { Construct } from 'constructs';
import { scopes } from '../../shared/routes.ts';

export type MachineUserPoolProps = {
  readonly stage: string;
  /** The name of each client in the stage's settings. */
  readonly clients: readonly string[];
  /** Of the domain that answers token requests, one of its kind in the region. */
  readonly domainPrefix: string;
  /** Whether the pool, and with it all tokens' issuer, survives the deletion of its stack. */
  readonly keepData: boolean;
};

/** On the pool, with the stage as its value: by this the pipeline's role may read the secret of its client. */
export const STAGE_TAG = 'prewarm:stage';

/** What tokens have before each scope, which Cognito prescribes for scopes of one's own. */
export const SCOPE_PREFIX = 'prewarm/';

/** Who may clear and warm the cache; `ci` reads its status after a deployment. All others read, and no more. */
const ADMIN_CLIENTS: ReadonlySet<string> = new Set(['oncall', 'ci']);

const allScopes = Object.entries(scopes).map(
  ([scopeName, scopeDescription]) => new ResourceServerScope({ scopeName, scopeDescription }),
);

/** Clients get tokens by client credentials; nobody can sign up, and nobody can sign in. */
export class MachineUserPool extends Construct {
  readonly pool: UserPool;
  readonly domain: UserPoolDomain;
  readonly clients: Readonly<Record<string, UserPoolClient>>;

  constructor(scope: Construct, id: string, props: MachineUserPoolProps) {
    super(scope, id);
    this.pool = this.#createPool(props);
    const server = this.pool.addResourceServer('Api', {
      identifier: SCOPE_PREFIX.slice(0, -1),
      scopes: allScopes,
    });
    this.domain = this.pool.addDomain('Domain', { cognitoDomain: { domainPrefix: props.domainPrefix } });
    this.clients = Object.fromEntries(
      props.clients.map((client) => [client, this.#createClient(client, server)]),
    );
  }

  #createPool({ stage, keepData }: MachineUserPoolProps): UserPool {
    const pool = new UserPool(this, 'Pool', {
      // Plans differ in their price for each active user, of whom there are none; token requests cost the same in all.
      featurePlan: FeaturePlan.LITE,
      selfSignUpEnabled: false,
      accountRecovery: AccountRecovery.NONE,
      // For a user whom somebody adds by hand.
      mfa: Mfa.REQUIRED,
      mfaSecondFactor: { otp: true, sms: false },
      passwordPolicy: {
        minLength: 16,
        requireLowercase: true,
        requireUppercase: true,
        requireDigits: true,
        requireSymbols: true,
      },
      deletionProtection: keepData,
      removalPolicy: keepData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    Tags.of(pool).add(STAGE_TAG, stage);
    Validations.of(pool).acknowledge({
      id: 'AwsSolutions-COG8',
      reason: 'Threat protection of the Plus plan watches users who sign in; this pool has no users.',
    });
    return pool;
  }

  /** A client that the settings do not name any more is deleted, whatever is kept: its secret must not work on. */
  #createClient(client: string, server: UserPoolResourceServer): UserPoolClient {
    const granted = allScopes.filter(
      ({ scopeName }) => scopeName.endsWith(':read') || ADMIN_CLIENTS.has(client),
    );
    return this.pool.addClient(`Client-${client}`, {
      userPoolClientName: client,
      generateSecret: true,
      oAuth: {
        flows: { clientCredentials: true },
        scopes: granted.map((scope) => OAuthScope.resourceServer(server, scope)),
      },
      accessTokenValidity: Duration.hours(1),
      // Without an entry here Cognito would allow users to sign in by password.
      authFlows: { user: false },
      preventUserExistenceErrors: true,
    });
  }
}
