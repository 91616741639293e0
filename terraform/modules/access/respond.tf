# What answering an alarm takes: reading what was measured and said, telling people, and
# schedules that tell more of them until somebody answers. For operators and for CI.

data "aws_iam_policy_document" "respond" {
  #checkov:skip=CKV_AWS_356:DescribeAlarmHistory, ListMetrics and DescribeLogGroups take no resource but *
  statement {
    sid = "LookAtAlarms"
    actions = [
      "cloudwatch:DescribeAlarmHistory",
      "cloudwatch:DescribeAlarms",
      "cloudwatch:GetMetricData",
      "cloudwatch:ListMetrics",
      "logs:DescribeLogGroups",
    ]
    resources = ["*"]
  }

  statement {
    sid = "ReadLogs"
    actions = [
      "logs:DescribeLogStreams",
      "logs:FilterLogEvents",
      "logs:GetLogEvents",
    ]
    resources = [
      "${local._arn.logs}/*",
      "${local._aws}:logs:${local._scope}:log-group:/aws/rds/instance/${local._name}-*",
    ]
  }

  statement {
    sid       = "Page"
    actions   = ["sns:ListSubscriptionsByTopic", "sns:Publish"]
    resources = [for topic in ["alerts", "critical"] : "${local._aws}:sns:${local._scope}:${local._name}-${topic}"]
  }

  statement {
    sid = "Escalate"
    actions = [
      "scheduler:CreateSchedule",
      "scheduler:DeleteSchedule",
      "scheduler:GetSchedule",
      "scheduler:UpdateSchedule",
    ]
    resources = ["${local._aws}:scheduler:${local._scope}:schedule/${local._name}-escalations/*"]
  }

  statement {
    sid       = "EscalationsRole"
    actions   = ["iam:PassRole"]
    resources = ["${local._aws}:iam::${data.aws_caller_identity.here.account_id}:role/${local._name}-escalation"]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["scheduler.amazonaws.com"]
    }
  }

  # Of incidents, and in nobody else's name: Slack's rule listens for this source.
  statement {
    sid       = "Tell"
    actions   = ["events:PutEvents"]
    resources = ["${local._aws}:events:${local._scope}:event-bus/default"]

    condition {
      test     = "StringEquals"
      variable = "events:source"
      values   = ["rmu"]
    }
  }
}

resource "aws_iam_policy" "respond" {
  name        = "${local._name}-respond"
  description = "Look into and tell of what goes wrong in ${local._name}"
  policy      = data.aws_iam_policy_document.respond.json
}
