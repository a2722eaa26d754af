/** The monitoring: one Fargate task in a public subnet, reachable by the functions' pushes and by nothing else. */
import { CfnOutput, Duration, RemovalPolicy, SecretValue, Stack, Validations } from 'aws-cdk-lib';
import { ComparisonOperator, Metric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { Peer, Port, SecurityGroup, SubnetType } from 'aws-cdk-lib/aws-ec2';
import {
  AvailabilityZoneRebalancing,
  Cluster,
  ContainerInsights,
  FargatePlatformVersion,
  FargateService,
  type ICluster,
} from 'aws-cdk-lib/aws-ecs';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { type ISecret, Secret, type SecretProps } from 'aws-cdk-lib/aws-secretsmanager';
import { DnsRecordType, PrivateDnsNamespace } from 'aws-cdk-lib/aws-servicediscovery';
import type { Construct } from 'constructs';
import { Alarms } from '../constructs/alarms.ts';
import type { Network } from '../constructs/connections.ts';
import { MonitoringData } from '../constructs/monitoring-data.ts';
import { alertCredentialFields, MonitoringTask, pushPort } from '../constructs/monitoring-task.ts';
import type { StageConfig } from '../stage-config.ts';

export type MonitoringStackProps = Pick<StageConfig, 'stage' | 'logRetentionDays' | 'alarmEmails'> & {
  /** With public subnets, for the way out, and isolated ones, for the data. */
  readonly network: Network;
  /** Whether history and secrets survive the deletion of the stack. */
  readonly keepData: boolean;
};

/** Also the name in the DNS: `monitoring.prewarm-<stage>.internal`. */
const serviceName = 'monitoring';

/** What the task sends to people goes by HTTPS or by mail; images come by HTTPS. */
const outwardPorts = { 443: 'Images, logs, secrets, Slack, PagerDuty', 587: 'Mail' };

export class MonitoringStack extends Stack {
  /** Stays the same when the task is replaced. */
  readonly pushgatewayUrl: string;
  readonly #props: MonitoringStackProps;

  constructor(scope: Construct, id: string, props: MonitoringStackProps) {
    super(scope, id, { description: `Prewarm (${props.stage}): the monitoring` });
    this.#props = props;
    const securityGroup = this.#createSecurityGroup();
    const data = new MonitoringData(this, 'Data', {
      vpc: props.network.vpc,
      client: securityGroup,
      keepData: props.keepData,
    });
    const service = this.#createService(this.#createTask(data), securityGroup);
    service.node.addDependency(data.mountable);
    this.#alarmOn(service);
    this.pushgatewayUrl = `http://${serviceName}.${this.#namespaceName}:${pushPort}`;
  }

  get #namespaceName(): string {
    return `prewarm-${this.#props.stage}.internal`;
  }

  #createSecurityGroup(): SecurityGroup {
    const { vpc, clients } = this.#props.network;
    const group = new SecurityGroup(this, 'Group', {
      vpc,
      description: 'Prewarm: the monitoring task',
      allowAllOutbound: false,
    });
    group.addIngressRule(clients, Port.tcp(pushPort), 'The functions');
    for (const [port, use] of Object.entries(outwardPorts))
      group.addEgressRule(Peer.anyIpv4(), Port.tcp(Number(port)), use);
    return group;
  }

  #createTask(data: MonitoringData): MonitoringTask {
    const { stage, logRetentionDays } = this.#props;
    return new MonitoringTask(this, 'Task', {
      stage,
      data,
      logGroup: new LogGroup(this, 'Logs', {
        retention: logRetentionDays,
        removalPolicy: RemovalPolicy.DESTROY,
      }),
      alertCredentials: this.#createAlertCredentials(),
      grafanaPassword: this.#createGrafanaPassword(),
    });
  }

  /** Filled in by people, once: the runbook says how. A receiver whose fields say `none` is left out. */
  #createAlertCredentials(): ISecret {
    const none = SecretValue.unsafePlainText('none');
    const fields = Object.keys(alertCredentialFields).map((field) => [field, none]);
    return this.#createSecret(
      'AlertCredentials',
      { secretObjectValue: Object.fromEntries(fields) },
      'Slack, PagerDuty and the mail server issue these; they are renewed where they are issued.',
    );
  }

  #createGrafanaPassword(): ISecret {
    return this.#createSecret(
      'GrafanaPassword',
      { generateSecretString: { passwordLength: 32, excludePunctuation: true } },
      'Grafana takes it at its first start only, and can be reached by nobody without a role of this account.',
    );
  }

  /** @param whyNotRotated - the reason of the acknowledgement */
  #createSecret(id: string, props: SecretProps, whyNotRotated: string): ISecret {
    const { keepData, stage } = this.#props;
    const secret = new Secret(this, id, {
      ...props,
      description: `Prewarm (${stage}): ${id}`,
      removalPolicy: keepData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    Validations.of(secret).acknowledge({ id: 'AwsSolutions-SMG4', reason: whyNotRotated });
    new CfnOutput(this, `${id}Arn`, { value: secret.secretArn });
    return secret as ISecret; // its optional key may be undefined, which the interface's may not
  }

  /** The old task stops before the new one starts: two would write to one history. */
  #createService(taskDefinition: MonitoringTask, securityGroup: SecurityGroup): FargateService {
    return new FargateService(this, 'Service', {
      cluster: this.#createCluster(),
      serviceName,
      taskDefinition,
      platformVersion: FargatePlatformVersion.VERSION1_4,
      desiredCount: 1,
      minHealthyPercent: 0,
      maxHealthyPercent: 100,
      availabilityZoneRebalancing: AvailabilityZoneRebalancing.DISABLED,
      circuitBreaker: { rollback: true },
      assignPublicIp: true,
      vpcSubnets: { subnetType: SubnetType.PUBLIC },
      securityGroups: [securityGroup],
      enableExecuteCommand: true,
      cloudMapOptions: {
        name: serviceName,
        cloudMapNamespace: this.#createNamespace(),
        dnsRecordType: DnsRecordType.A,
        dnsTtl: Duration.seconds(10),
      },
    });
  }

  /** Who watches cannot tell of its own end. */
  #alarmOn(service: FargateService): void {
    new Alarms(this, 'Alarms', { emails: this.#props.alarmEmails }).add('MonitoringDown', {
      metric: new Metric({
        namespace: 'ECS/ContainerInsights',
        metricName: 'RunningTaskCount',
        dimensionsMap: { ClusterName: service.cluster.clusterName, ServiceName: service.serviceName },
        statistic: 'Maximum',
        period: Duration.minutes(5),
      }),
      comparison: ComparisonOperator.LESS_THAN_THRESHOLD,
      threshold: 1,
      periods: 3,
      missing: TreatMissingData.BREACHING,
      meaning: 'The monitoring does not run: its alerts reach nobody.',
    });
  }

  #createCluster(): ICluster {
    return new Cluster(this, 'Cluster', {
      clusterName: `prewarm-${this.#props.stage}-monitoring`,
      vpc: this.#props.network.vpc,
      containerInsightsV2: ContainerInsights.ENABLED,
    }) as ICluster; // as with secrets
  }

  #createNamespace(): PrivateDnsNamespace {
    return new PrivateDnsNamespace(this, 'Names', {
      name: this.#namespaceName,
      vpc: this.#props.network.vpc,
    });
  }
}
