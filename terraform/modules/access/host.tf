# What a host may do, and no more: the containers on it cannot reach these
# credentials, but whoever breaks out of one can.

data "aws_iam_policy_document" "host_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "host" {
  #checkov:skip=CKV_AWS_111:what the agent writes to is the message service's, which knows no resource but *
  #checkov:skip=CKV_AWS_356:the agent's, DescribeTags, PutMetricData and GetAuthorizationToken take no resource but *
  # The agent's own needs. AWS's AmazonSSMManagedInstanceCore would also let it
  # read every parameter of the account.
  statement {
    sid = "Agent"
    actions = [
      "ec2messages:AcknowledgeMessage",
      "ec2messages:DeleteMessage",
      "ec2messages:FailMessage",
      "ec2messages:GetEndpoint",
      "ec2messages:GetMessages",
      "ec2messages:SendReply",
      "ssm:ListInstanceAssociations",
      "ssm:UpdateInstanceInformation",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }

  statement {
    sid     = "Secrets"
    actions = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
    resources = [
      "${local._arn.secrets}/app",
      "${local._arn.secrets}/app/*",
      "${local._arn.secrets}/db",
      "${local._arn.secrets}/db/*",
      "${local._arn.secrets}/places/front_door", # what its probe asks
    ]
  }

  statement {
    sid       = "PointerAndReleases"
    actions   = ["dynamodb:GetItem"]
    resources = [local._arn.table]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "dynamodb:LeadingKeys"
      values   = ["pointer", "release"]
    }
  }

  # Its SSH key: who breaks the glass knows by it whom they talk to.
  statement {
    sid       = "OwnKey"
    actions   = ["dynamodb:PutItem"]
    resources = [local._arn.table]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "dynamodb:LeadingKeys"
      values   = ["host_key"]
    }
  }

  # What a restore left behind, as SQL, on its way to an operator and back.
  statement {
    sid       = "Salvage"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local._arn.bucket}/salvage/*"]
  }

  statement {
    sid       = "RegistryLogin"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "Pull"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [var.repository_arn]
  }

  statement {
    sid       = "BootDone"
    actions   = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
    resources = [local._arn.asg]
  }

  # The metrics agent asks EC2 which group it belongs to.
  statement {
    sid       = "OwnTags"
    actions   = ["ec2:DescribeTags", "ec2:DescribeVolumes"]
    resources = ["*"]
  }

  statement {
    sid       = "Metrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["CWAgent"]
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${local._arn.logs}/*"]
  }
}

resource "aws_iam_role" "host" {
  name               = "${local._name}-host"
  description        = "Hosts of ${local._name}"
  assume_role_policy = data.aws_iam_policy_document.host_trust.json
}

resource "aws_iam_role_policy" "host" {
  name   = "host"
  role   = aws_iam_role.host.id
  policy = data.aws_iam_policy_document.host.json
}

resource "aws_iam_instance_profile" "host" {
  name = "${local._name}-host"
  role = aws_iam_role.host.name
}
