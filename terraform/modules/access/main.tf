data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

data "aws_region" "here" {}

locals {
  _name = "rmu-${var.environment}"

  _scope = "${data.aws_region.here.name}:${data.aws_caller_identity.here.account_id}"
  _aws   = "arn:${data.aws_partition.here.partition}"

  _arn = {
    asg       = "${local._aws}:autoscaling:${local._scope}:autoScalingGroup:*:autoScalingGroupName/${local._name}-hosts"
    bucket    = "${local._aws}:s3:::${var.bucket}"
    ec2       = "${local._aws}:ec2:${local._scope}"
    databases = "${local._aws}:rds:${local._scope}:db:${local._name}-*"
    instances = "${local._aws}:ec2:${local._scope}:instance/*"
    logs      = "${local._aws}:logs:${local._scope}:log-group:/rmu/${var.environment}"
    secrets   = "${local._aws}:ssm:${local._scope}:parameter/rmu/${var.environment}"
    table     = "${local._aws}:dynamodb:${local._scope}:table/${local._name}"
  }
}
