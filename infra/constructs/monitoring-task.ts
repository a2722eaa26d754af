/** The task of the monitoring: Pushgateway, Prometheus, Alertmanager and Grafana, on one network interface. */
import { fileURLToPath } from 'node:url';
import { Duration, Validations } from 'aws-cdk-lib';
import {
  type ContainerDefinition,
  ContainerDependencyCondition,
  ContainerImage,
  CpuArchitecture,
  FargateTaskDefinition,
  type HealthCheck,
  LinuxParameters,
  LogDrivers,
  OperatingSystemFamily,
  Secret as TaskSecret,
} from 'aws-cdk-lib/aws-ecs';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { images } from '../monitoring/images.ts';
import type { MonitoringData } from './monitoring-data.ts';
import { configDir, writeFilesOf } from './monitoring-files.ts';

export type MonitoringTaskProps = {
  readonly stage: string;
  readonly data: MonitoringData;
  readonly logGroup: ILogGroup;
  /** With the fields of `alertCredentialFields`. */
  readonly alertCredentials: ISecret;
  readonly grafanaPassword: ISecret;
};

/** What functions push to; the other programs are reached inside the task only. */
export const pushPort = 9091;

/** Variables of Alertmanager's start, by the field of the secret that fills them. */
export const alertCredentialFields = {
  slackUrl: 'SLACK_URL',
  pagerDutyRoutingKey: 'PAGERDUTY_ROUTING_KEY',
  smtpSmarthost: 'SMTP_SMARTHOST',
  smtpUsername: 'SMTP_USERNAME',
  smtpPassword: 'SMTP_PASSWORD',
  emailFrom: 'EMAIL_FROM',
  emailTo: 'EMAIL_TO',
} as const;

/** As whom the images run. */
const nobody = 65534;
const grafanaUser = 472;

const memoryMiB = { config: 256, pushgateway: 128, prometheus: 1024, alertmanager: 128, grafana: 512 };

const filesDir = fileURLToPath(new URL('../monitoring/config', import.meta.url));

export class MonitoringTask extends FargateTaskDefinition {
  readonly #props: MonitoringTaskProps;

  constructor(scope: Construct, id: string, props: MonitoringTaskProps) {
    super(scope, id, {
      cpu: 512,
      memoryLimitMiB: 2048,
      runtimePlatform: {
        cpuArchitecture: CpuArchitecture.ARM64,
        operatingSystemFamily: OperatingSystemFamily.LINUX,
      },
    });
    this.#props = props;
    this.addVolume({ name: 'config' });
    for (const name of ['prometheus', 'alertmanager']) this.addVolume(props.data.addVolume(name, nobody));
    this.addVolume(props.data.addVolume('grafana', grafanaUser));
    props.data.grantMount(this.taskRole);
    this.#addContainers();
    acknowledge(this);
  }

  #addContainers(): void {
    this.#addPushgateway();
    const config = this.#addConfig();
    for (const reader of [this.#addPrometheus(), this.#addAlertmanager(), this.#addGrafana()]) {
      mount(reader, 'config', configDir, true);
      reader.addContainerDependencies({
        container: config,
        condition: ContainerDependencyCondition.SUCCESS,
      });
    }
  }

  /** Keeps nothing: totals are in Redis, and the next push brings all of them. */
  #addPushgateway(): void {
    this.addContainer('pushgateway', {
      ...this.#common('pushgateway'),
      portMappings: [{ containerPort: pushPort }],
      healthCheck: checkHttp(`http://127.0.0.1:${pushPort}/-/ready`),
    });
  }

  /** Writes the files and ends; in Prometheus' image, because it has a shell and looks into Prometheus' history. */
  #addConfig(): ContainerDefinition {
    const { script, environment } = writeFilesOf(filesDir);
    const config = this.addContainer('config', {
      ...this.#common('config', images.prometheus),
      essential: false,
      user: 'root', // who alone may write to a new volume
      entryPoint: ['/bin/sh', '-c'],
      command: [`${script}\nexec sh ${configDir}/prometheus/set-aside.sh /prometheus`],
      environment,
    });
    mount(config, 'config', configDir);
    mount(config, 'prometheus', '/prometheus');
    return config;
  }

  #addPrometheus(): ContainerDefinition {
    const prometheus = this.addContainer('prometheus', {
      ...this.#common('prometheus'),
      command: [
        `--config.file=${configDir}/prometheus/prometheus.yml`,
        '--storage.tsdb.path=/prometheus',
        '--storage.tsdb.retention.time=30d',
        '--storage.tsdb.retention.size=2GB',
        '--web.listen-address=127.0.0.1:9090',
      ],
      environment: { STAGE: this.#props.stage },
      healthCheck: checkHttp('http://127.0.0.1:9090/-/ready'),
    });
    mount(prometheus, 'prometheus', '/prometheus');
    return prometheus;
  }

  #addAlertmanager(): ContainerDefinition {
    const alertmanager = this.addContainer('alertmanager', {
      ...this.#common('alertmanager'),
      entryPoint: ['/bin/sh', `${configDir}/alertmanager/start.sh`],
      command: [
        '--storage.path=/alertmanager',
        '--web.listen-address=127.0.0.1:9093',
        '--cluster.listen-address=', // it is alone
      ],
      secrets: this.#alertCredentials(),
      healthCheck: checkHttp('http://127.0.0.1:9093/-/ready'),
    });
    mount(alertmanager, 'alertmanager', '/alertmanager');
    return alertmanager;
  }

  #alertCredentials(): Record<string, TaskSecret> {
    const { alertCredentials } = this.#props;
    return Object.fromEntries(
      Object.entries(alertCredentialFields).map(([field, variable]) => [
        variable,
        TaskSecret.fromSecretsManager(alertCredentials, field),
      ]),
    );
  }

  /** Not essential: alerts go on without pictures, and the agent starts it again. */
  #addGrafana(): ContainerDefinition {
    const grafana = this.addContainer('grafana', {
      ...this.#common('grafana'),
      essential: false,
      enableRestartPolicy: true,
      environment: {
        GF_PATHS_PROVISIONING: `${configDir}/grafana/provisioning`,
        GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: `${configDir}/grafana/dashboards/prewarm.json`,
        GF_SERVER_HTTP_ADDR: '127.0.0.1',
        GF_USERS_ALLOW_SIGN_UP: 'false',
        GF_ANALYTICS_REPORTING_ENABLED: 'false',
        GF_ANALYTICS_CHECK_FOR_UPDATES: 'false',
      },
      secrets: { GF_SECURITY_ADMIN_PASSWORD: TaskSecret.fromSecretsManager(this.#props.grafanaPassword) },
      healthCheck: checkHttp('http://127.0.0.1:3000/api/health'),
      // Reaps what a session of `aws ecs execute-command` leaves behind.
      linuxParameters: new LinuxParameters(this, 'GrafanaProcesses', { initProcessEnabled: true }),
    });
    mount(grafana, 'grafana', '/var/lib/grafana');
    return grafana;
  }

  #common(name: keyof typeof memoryMiB, image: string = images[name as keyof typeof images]) {
    return {
      image: ContainerImage.fromRegistry(image),
      memoryLimitMiB: memoryMiB[name],
      logging: LogDrivers.awsLogs({ logGroup: this.#props.logGroup, streamPrefix: 'monitoring' }),
    };
  }
}

function mount(container: ContainerDefinition, volume: string, path: string, readOnly = false): void {
  container.addMountPoints({ sourceVolume: volume, containerPath: path, readOnly });
}

/** Every image has busybox' wget. A program has three minutes to start before it counts as dead. */
function checkHttp(url: string): HealthCheck {
  return {
    command: ['CMD', 'wget', '-q', '--spider', url],
    interval: Duration.seconds(15),
    timeout: Duration.seconds(5),
    retries: 4,
    startPeriod: Duration.minutes(2),
  };
}

function acknowledge(task: MonitoringTask): void {
  Validations.of(task.taskRole).acknowledge({
    id: 'AwsSolutions-IAM5[Resource::*]',
    reason: 'The channels of a session into a container have no names of their own.',
  });
  Validations.of(task).acknowledge({
    id: 'AwsSolutions-ECS2',
    reason:
      'The variables are configuration files and settings; passwords and keys come from Secrets Manager.',
  });
}
