locals {
  _name = "rmu-${var.environment}"
  _slow = var.alarms.period
  _fast = var.alarms.liveness_period

  # Dimensions must match a metric exactly, or the alarm has no data for ever. Hosts
  # are watched by their group: an instance id dies with its instance.
  _hosts    = { AutoScalingGroupName = var.asg }
  _targets  = { LoadBalancer = var.balancer_suffix, TargetGroup = var.target_group_suffix }
  _database = { DBInstanceIdentifier = var.database }
  _agent    = "CWAgent"

  # Each line: what is measured, when it speaks, to whom. Where the absence of a
  # number is itself the news, missing data is breaching.
  _alarms = {
    cpu-high = {
      says = "The hosts' CPU is above 80%", topic = "alerts"
      of   = ["AWS/EC2", "CPUUtilization", "Average"], dimensions = local._hosts
      when = [">", 80], period = local._slow, points = [2, 2], missing = "missing"
    }
    memory-high = {
      says = "The hosts' memory is above 85%", topic = "alerts"
      of   = [local._agent, "mem_used_percent", "Average"], dimensions = local._hosts
      when = [">", 85], period = local._slow, points = [2, 2], missing = "missing"
    }
    status-check-failed = {
      says = "EC2 finds a host broken", topic = "critical"
      of   = ["AWS/EC2", "StatusCheckFailed", "Maximum"], dimensions = local._hosts
      when = [">", 0], period = local._fast, points = [2, 2], missing = "missing"
    }
    database-cpu-high = {
      says = "The database's CPU is above 80%", topic = "alerts"
      of   = ["AWS/RDS", "CPUUtilization", "Average"], dimensions = local._database
      when = [">", 80], period = local._slow, points = [2, 2], missing = "missing"
    }
    database-storage-low = {
      says = "The database has less than 2 GB of storage left", topic = "critical"
      of   = ["AWS/RDS", "FreeStorageSpace", "Minimum"], dimensions = local._database
      when = ["<", 2147483648], period = local._slow, points = [1, 1], missing = "missing"
    }
    no-healthy-host = {
      says = "The balancer has no healthy host", topic = "critical"
      of   = ["AWS/ApplicationELB", "HealthyHostCount", "Minimum"], dimensions = local._targets
      when = ["<", 1], period = local._fast, points = [2, 3], missing = "breaching"
    }
    # A host that freezes sends nothing; a host that is being replaced neither, so
    # it takes most of a longer window.
    hosts-silent = {
      says = "No host has reported for a while", topic = "critical"
      of   = [local._agent, "mem_used_percent", "SampleCount"], dimensions = local._hosts
      when = ["<", 1], period = local._fast, points = [4, 5], missing = "breaching"
    }
    database-silent = {
      says = "The database has not reported for a while", topic = "critical"
      of   = ["AWS/RDS", "FreeStorageSpace", "SampleCount"], dimensions = local._database
      when = ["<", 1], period = local._fast, points = [4, 5], missing = "breaching"
    }
    # The balancer's error counts exist only while there are errors.
    errors-at-the-balancer = {
      says = "The balancer itself answers 5xx", topic = "critical"
      of   = ["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "Sum"], dimensions = { LoadBalancer = var.balancer_suffix }
      when = [">", 5], period = local._fast, points = [2, 3], missing = "notBreaching"
    }
    errors-of-the-app = {
      says = "The app answers 5xx", topic = "alerts"
      of   = ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "Sum"], dimensions = local._targets
      when = [">", 5], period = local._fast, points = [2, 3], missing = "notBreaching"
    }
  }

  _operators = { ">" = "GreaterThanThreshold", "<" = "LessThanThreshold" }
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

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local._alarms

  alarm_name          = "${local._name}-${each.key}"
  alarm_description   = each.value.says
  namespace           = each.value.of[0]
  metric_name         = each.value.of[1]
  statistic           = each.value.of[2]
  dimensions          = each.value.dimensions
  comparison_operator = local._operators[each.value.when[0]]
  threshold           = each.value.when[1]
  period              = each.value.period
  datapoints_to_alarm = each.value.points[0]
  evaluation_periods  = each.value.points[1]
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.this[each.value.topic].arn]
  ok_actions          = [aws_sns_topic.this[each.value.topic].arn]
}
