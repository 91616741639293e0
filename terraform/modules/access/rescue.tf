# What breaking the glass takes, for operators alone: a key that lives a minute, as user
# rmu of a host of this environment, and a tunnel to port 22 through its endpoint.

data "aws_iam_policy_document" "rescue" {
  #checkov:skip=CKV_AWS_356:DescribeInstanceConnectEndpoints takes no resource but *
  statement {
    sid       = "PushKey"
    actions   = ["ec2-instance-connect:SendSSHPublicKey"]
    resources = [local._arn.instances]

    condition {
      test     = "StringEquals"
      variable = "ec2:osuser"
      values   = ["rmu"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/rmu:env"
      values   = [var.environment]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/rmu:role"
      values   = ["host"]
    }
  }

  statement {
    sid       = "OpenTunnel"
    actions   = ["ec2-instance-connect:OpenTunnel"]
    resources = ["${local._arn.ec2}:instance-connect-endpoint/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/rmu:env"
      values   = [var.environment]
    }

    condition {
      test     = "NumericEquals"
      variable = "ec2-instance-connect:remotePort"
      values   = ["22"]
    }
  }

  statement {
    sid       = "FindEndpoint"
    actions   = ["ec2:DescribeInstanceConnectEndpoints"]
    resources = ["*"]
  }

  # On its console a host prints its SSH key, for the day the ledger does not answer.
  statement {
    sid       = "ReadConsole"
    actions   = ["ec2:GetConsoleOutput"]
    resources = [local._arn.instances]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/rmu:env"
      values   = [var.environment]
    }
  }
}

resource "aws_iam_policy" "rescue" {
  name        = "${local._name}-rescue"
  description = "Break the glass of ${local._name}: SSH by EC2 Instance Connect"
  policy      = data.aws_iam_policy_document.rescue.json
}
