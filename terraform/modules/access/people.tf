# Two roles for those who work: CI may deploy, an operator may also touch machines
# and databases. Neither may run Terraform: `rmu infra` is the account owner's.

data "aws_iam_policy_document" "deploy" {
  #checkov:skip=CKV_AWS_356:Describe*, GetAuthorizationToken and GetCommandInvocation take no resource but *
  # Send-command wants a document and a machine, and a tag condition over both
  # would fail for ever: documents of AWS carry no tags. Hence two statements.
  statement {
    sid       = "CommandDocuments"
    actions   = ["ssm:SendCommand"]
    resources = [aws_ssm_document.host.arn, aws_ssm_document.exec.arn]
  }

  statement {
    sid       = "CommandHosts"
    actions   = ["ssm:SendCommand"]
    resources = [local._arn.instances]

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/rmu:env"
      values   = [var.environment]
    }

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/rmu:role"
      values   = ["host", "drill"]
    }
  }

  # None of these can be narrowed: AWS takes only "*" for them.
  statement {
    sid = "Look"
    actions = [
      "acm:DescribeCertificate",
      "acm:ListCertificates",
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeAutoScalingInstances",
      "autoscaling:DescribeLifecycleHooks",
      "autoscaling:DescribeScalingActivities",
      "cloudwatch:DescribeAlarms",
      "cloudwatch:GetMetricData",
      "cloudwatch:GetMetricStatistics",
      "ec2:DescribeInstanceStatus",
      "ec2:DescribeInstances",
      "ecr:GetAuthorizationToken",
      "elasticloadbalancing:DescribeLoadBalancers",
      "elasticloadbalancing:DescribeTargetGroups",
      "elasticloadbalancing:DescribeTargetHealth",
      "freetier:GetAccountPlanState",
      "rds:DescribeAccountAttributes",
      "rds:DescribeDBInstanceAutomatedBackups",
      "rds:DescribeDBInstances",
      "rds:DescribeDBSnapshots",
      "ssm:CancelCommand",
      "ssm:DescribeInstanceInformation",
      "ssm:GetCommandInvocation",
      "ssm:ListCommandInvocations",
      "ssm:ListCommands",
    ]
    resources = ["*"]
  }

  # Nothing is ever taken away: a lease is freed by writing it empty, since its
  # generation must go on counting, or a host's fence would let an older run in.
  statement {
    sid = "Ledger"
    actions = [
      "dynamodb:ConditionCheckItem",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:Query",
    ]
    resources = [local._arn.table]
  }

  statement {
    sid       = "LargePlans"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local._arn.bucket}/runs/*"]
  }

  statement {
    sid       = "Places"
    actions   = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
    resources = ["${local._arn.secrets}/places", "${local._arn.secrets}/places/*"]
  }

  # The names of the app's secrets, never their values: to read them by path would
  # be to read them, since whoever may ask SSM may also use its key.
  statement {
    sid       = "SecretNames"
    actions   = ["ssm:DescribeParameters"]
    resources = ["*"]
  }

  statement {
    sid = "Images"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:DescribeImageScanFindings",
      "ecr:DescribeImages",
      "ecr:DescribeRepositories",
      "ecr:GetDownloadUrlForLayer",
      "ecr:GetLifecyclePolicy",
      "ecr:InitiateLayerUpload",
      "ecr:ListImages",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = [var.repository_arn]
  }
}

data "aws_iam_policy_document" "operate" {
  statement {
    sid = "Hosts"
    actions = [
      "autoscaling:CreateOrUpdateTags", # the minimum of before a standby
      "autoscaling:DeleteTags",
      "autoscaling:EnterStandby",
      "autoscaling:ExitStandby",
      "autoscaling:TerminateInstanceInAutoScalingGroup",
      "autoscaling:UpdateAutoScalingGroup",
    ]
    resources = [local._arn.asg]
  }

  statement {
    sid       = "Reboot"
    actions   = ["ec2:RebootInstances"]
    resources = [local._arn.instances]

    condition {
      test     = "StringEquals"
      variable = "ec2:ResourceTag/rmu:env"
      values   = [var.environment]
    }
  }

  # A drill makes a host of its own from the hosts' template and ends it. Launching
  # names much that carries no tag; what is launched must say that it is a drill's.
  statement {
    sid     = "LaunchDrillHosts"
    actions = ["ec2:RunInstances"]
    resources = [
      "${local._arn.ec2}:launch-template/*",
      "${local._arn.ec2}:network-interface/*",
      "${local._arn.ec2}:security-group/*",
      "${local._arn.ec2}:subnet/*",
      "${local._arn.ec2}:volume/*",
      "${local._aws}:ec2:*::image/*",
      "${local._aws}:ec2:*::snapshot/*",
      "${local._arn.ec2}:image/*",
    ]
  }

  statement {
    sid       = "LaunchDrillHostsTagged"
    actions   = ["ec2:RunInstances"]
    resources = [local._arn.instances]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/rmu:role"
      values   = ["drill"]
    }
  }

  statement {
    sid       = "TagWhatIsLaunched"
    actions   = ["ec2:CreateTags"]
    resources = ["${local._arn.ec2}:*/*"]

    condition {
      test     = "StringEquals"
      variable = "ec2:CreateAction"
      values   = ["RunInstances"]
    }
  }

  statement {
    sid       = "EndDrillHosts"
    actions   = ["ec2:TerminateInstances"]
    resources = [local._arn.instances]

    condition {
      test     = "StringEquals"
      variable = "ec2:ResourceTag/rmu:role"
      values   = ["drill"]
    }

    condition {
      test     = "StringEquals"
      variable = "ec2:ResourceTag/rmu:env"
      values   = [var.environment]
    }
  }

  statement {
    sid       = "LookAtImages"
    actions   = ["ec2:DescribeImages"]
    resources = ["*"]
  }

  statement {
    sid     = "HostsRole"
    actions = ["iam:PassRole"]
    resources = [
      aws_iam_role.host.arn,
      "${local._aws}:iam::${data.aws_caller_identity.here.account_id}:role/${local._name}-drill-reminder",
    ]
  }

  statement {
    sid       = "MoveTheReminder"
    actions   = ["scheduler:GetSchedule", "scheduler:UpdateSchedule"]
    resources = ["${local._aws}:scheduler:${local._scope}:schedule/default/${local._name}-drill"]
  }

  # A restore makes a new instance beside the old one and changes it. It is encrypted
  # with AWS's own key of RDS, which admits whoever may use RDS: no grant stands here.
  # No role is passed on, since none watches the database (enhanced monitoring is off).
  statement {
    sid = "RestoreDatabases"
    actions = [
      "rds:AddTagsToResource",
      "rds:DescribeDBLogFiles",
      "rds:ListTagsForResource",
      "rds:ModifyDBInstance",
      "rds:RebootDBInstance",
      "rds:RestoreDBInstanceToPointInTime",
    ]
    resources = [
      local._arn.databases,
      "${local._aws}:rds:${local._scope}:auto-backup:*",
      "${local._aws}:rds:${local._scope}:og:default:*",
      "${local._aws}:rds:${local._scope}:pg:${local._name}-*",
      "${local._aws}:rds:${local._scope}:subgrp:${local._name}-*",
    ]
  }

  # A restored instance logs into groups of its own name, which RDS would keep for ever.
  statement {
    sid       = "KeepDatabaseLogs"
    actions   = ["logs:CreateLogGroup", "logs:PutRetentionPolicy"]
    resources = ["${local._aws}:logs:${local._scope}:log-group:/aws/rds/instance/${local._name}-*"]
  }

  # Two kinds may be deleted: what a run made, and what was retired by name. The one
  # that Terraform made carries neither tag, and is protected besides.
  statement {
    sid       = "DropRestoredDatabases"
    actions   = ["rds:DeleteDBInstance"]
    resources = [local._arn.databases]

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/rmu:run"
      values   = ["false"]
    }
  }

  statement {
    sid       = "DeleteRetiredDatabases"
    actions   = ["rds:DeleteDBInstance"]
    resources = [local._arn.databases]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/rmu:retired"
      values   = ["true"]
    }
  }

  statement {
    sid     = "FinalSnapshots"
    actions = ["rds:AddTagsToResource", "rds:CreateDBSnapshot"]
    resources = [
      local._arn.databases,
      "${local._aws}:rds:${local._scope}:snapshot:${local._name}-*",
    ]
  }

  # A retired database is moved into the group that nobody gets through.
  statement {
    sid       = "ClosedGroup"
    actions   = ["ec2:DescribeSecurityGroups"]
    resources = ["*"]
  }

  # A restore brings the master's password of then back; the one secret that an
  # operator's rmu reads, to set it again.
  statement {
    sid       = "MastersPassword"
    actions   = ["ssm:GetParameter"]
    resources = ["${local._arn.secrets}/db/master_password"]
  }

  # What a salvage found are rows of the product: for operators, not for CI.
  statement {
    sid       = "Salvage"
    actions   = ["s3:GetObject"]
    resources = ["${local._arn.bucket}/salvage/*"]
  }

  statement {
    sid       = "SalvageNames"
    actions   = ["s3:ListBucket"]
    resources = [local._arn.bucket]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["salvage/*"]
    }
  }
}

resource "aws_iam_policy" "deploy" {
  name        = "${local._name}-deploy"
  description = "Deploy to and roll back ${local._name}"
  policy      = data.aws_iam_policy_document.deploy.json
}

resource "aws_iam_policy" "operate" {
  name        = "${local._name}-operate"
  description = "Replace hosts and restore databases of ${local._name}"
  policy      = data.aws_iam_policy_document.operate.json
}

# ---- operators

data "aws_iam_policy_document" "operator_trust" {
  count = length(var.operators) > 0 ? 1 : 0

  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "AWS"
      identifiers = var.operators
    }
  }
}

# A restore outlasts the usual hour, and a session that ends stops the heartbeat.
resource "aws_iam_role" "operator" {
  count = length(var.operators) > 0 ? 1 : 0

  name                 = "${local._name}-operator"
  description          = "Operators of ${local._name}"
  assume_role_policy   = data.aws_iam_policy_document.operator_trust[0].json
  max_session_duration = 43200
}

resource "aws_iam_role_policy_attachment" "operator" {
  for_each = length(var.operators) > 0 ? {
    deploy  = aws_iam_policy.deploy.arn
    operate = aws_iam_policy.operate.arn
    rescue  = aws_iam_policy.rescue.arn
    respond = aws_iam_policy.respond.arn
  } : {}

  role       = aws_iam_role.operator[0].name
  policy_arn = each.value
}

# ---- CI

# One provider per account is all AWS allows: a second environment in the same
# account names the first one's.
resource "aws_iam_openid_connect_provider" "github" {
  count = var.github != null && try(var.github.provider_arn, "") == "" ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

# GitHub names a job by owner and repository, and, for repositories made or renamed
# from July 2026 on, by their unchangeable ids too. Both forms, both exact, both
# bound to one deployment environment: a fork or a branch passes neither.
data "aws_iam_policy_document" "ci_trust" {
  count = var.github != null ? 1 : 0

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [var.github.provider_arn != "" ? var.github.provider_arn : aws_iam_openid_connect_provider.github[0].arn]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values = [
        "repo:${var.github.owner}/${var.github.repository}:environment:${var.github.environment}",
        "repo:${var.github.owner}@${var.github.owner_id}/${var.github.repository}@${var.github.repository_id}:environment:${var.github.environment}",
      ]
    }
  }
}

resource "aws_iam_role" "ci" {
  count = var.github != null ? 1 : 0

  name                 = "${local._name}-ci"
  description          = "CI of ${local._name}"
  assume_role_policy   = data.aws_iam_policy_document.ci_trust[0].json
  max_session_duration = 7200
}

resource "aws_iam_role_policy_attachment" "ci" {
  for_each = var.github != null ? {
    deploy  = aws_iam_policy.deploy.arn
    respond = aws_iam_policy.respond.arn
  } : {}

  role       = aws_iam_role.ci[0].name
  policy_arn = each.value
}

moved {
  from = aws_iam_role_policy_attachment.ci[0]
  to   = aws_iam_role_policy_attachment.ci["deploy"]
}
