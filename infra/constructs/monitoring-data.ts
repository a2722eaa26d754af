/** What the monitoring keeps when its task is replaced: an encrypted file system, with a folder for each program. */
import { RemovalPolicy } from 'aws-cdk-lib';
import { type ISecurityGroup, type IVpc, SubnetType } from 'aws-cdk-lib/aws-ec2';
import type { Volume } from 'aws-cdk-lib/aws-ecs';
import { type AccessPoint, FileSystem } from 'aws-cdk-lib/aws-efs';
import { type IRole, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Construct, type IDependable } from 'constructs';

export type MonitoringDataProps = {
  readonly vpc: IVpc;
  /** Of the task that mounts the folders. */
  readonly client: ISecurityGroup;
  readonly keepData: boolean;
};

export class MonitoringData extends Construct {
  /** Resolved when there is a mount target in each zone: a task that starts earlier cannot mount anything. */
  readonly mountable: IDependable;
  readonly #fileSystem: FileSystem;
  readonly #accessPoints: AccessPoint[] = [];

  constructor(scope: Construct, id: string, { vpc, client, keepData }: MonitoringDataProps) {
    super(scope, id);
    this.#fileSystem = new FileSystem(this, 'FileSystem', {
      vpc,
      vpcSubnets: { subnetType: SubnetType.PRIVATE_ISOLATED },
      encrypted: true,
      removalPolicy: keepData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    this.#fileSystem.connections.allowDefaultPortFrom(client, 'The monitoring task');
    this.mountable = this.#fileSystem.mountTargetsAvailable;
  }

  /** A folder of its own, as which user a container may run whatever it says. */
  addVolume(name: string, user: number): Volume {
    const id = String(user);
    const accessPoint = this.#fileSystem.addAccessPoint(name, {
      path: `/${name}`,
      posixUser: { uid: id, gid: id },
      createAcl: { ownerUid: id, ownerGid: id, permissions: '750' },
    });
    this.#accessPoints.push(accessPoint);
    return {
      name,
      efsVolumeConfiguration: {
        fileSystemId: this.#fileSystem.fileSystemId,
        transitEncryption: 'ENABLED',
        authorizationConfig: { accessPointId: accessPoint.accessPointId, iam: 'ENABLED' },
      },
    };
  }

  /** The folders that were added before, and nothing beside them. */
  grantMount(role: IRole): void {
    const folders = this.#accessPoints.map(({ accessPointArn }) => accessPointArn);
    role.addToPrincipalPolicy(
      new PolicyStatement({
        actions: ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'],
        resources: [this.#fileSystem.fileSystemArn],
        conditions: { StringEquals: { 'elasticfilesystem:AccessPointArn': folders } },
      }),
    );
  }
}
