locals {
  _name = "rmu-${var.environment}"
}

data "aws_caller_identity" "here" {}

# Not encrypted by the key alias/aws/sns: CloudWatch may not use it, and every alarm
# would be sent to nobody.
resource "aws_sns_topic" "this" {
  #checkov:skip=CKV_AWS_26:CloudWatch may not use alias/aws/sns, and every alarm would reach nobody; messages hold no secret
  for_each = toset(["alerts", "critical"])

  name = "${local._name}-${each.value}"
}

data "aws_iam_policy_document" "topic" {
  for_each = aws_sns_topic.this

  statement {
    sid       = "OwnAlarmsAndEvents"
    actions   = ["sns:Publish"]
    resources = [each.value.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.here.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "this" {
  for_each = aws_sns_topic.this

  arn    = each.value.arn
  policy = data.aws_iam_policy_document.topic[each.key].json
}

# Pending until somebody clicks the link; purged after two days if nobody does.
resource "aws_sns_topic_subscription" "email" {
  for_each = {
    for pair in setproduct(["alerts", "critical"], var.alarms.emails) : "${pair[0]} ${pair[1]}" => pair
  }

  topic_arn = aws_sns_topic.this[each.value[0]].arn
  protocol  = "email"
  endpoint  = each.value[1]
}

# ---- escalation: schedules that rmu makes when an incident is opened, and deletes when
# somebody answers

resource "aws_scheduler_schedule_group" "escalations" {
  name = "${local._name}-escalations"
}

data "aws_iam_policy_document" "escalation_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.here.account_id]
    }
  }
}

data "aws_iam_policy_document" "escalation" {
  statement {
    actions   = ["sns:Publish"]
    resources = [for topic in aws_sns_topic.this : topic.arn]
  }
}

resource "aws_iam_role" "escalation" {
  name               = "${local._name}-escalation"
  description        = "Tells of incidents of ${local._name} that nobody answers"
  assume_role_policy = data.aws_iam_policy_document.escalation_trust.json
}

resource "aws_iam_role_policy" "escalation" {
  name   = "publish"
  role   = aws_iam_role.escalation.id
  policy = data.aws_iam_policy_document.escalation.json
}
