# Slack hears what the topics hear, by EventBridge, and of incidents that rmu tells. A
# webhook that is down is tried again for an hour and holds nothing up.

locals {
  _slack = var.alarms.slack_webhook != ""

  # What is well from the first is no news, and a window of an objective is a part. The
  # list is never empty, which EventBridge would refuse.
  _whole = [{ anything-but = concat(["${local._name}-"], [for name in keys(var.slo_alarms.windows) : "${local._name}-${name}"]) }]

  _alarm = {
    source      = ["aws.cloudwatch"]
    detail-type = ["CloudWatch Alarm State Change"]
    resources   = [{ prefix = "arn:${data.aws_partition.here.partition}:cloudwatch:${data.aws_region.here.name}:${data.aws_caller_identity.here.account_id}:alarm:${local._name}-" }]
  }

  # What people wrote stands for a whole value, which EventBridge then writes as JSON. Inside
  # quotes it would escape nothing, and Slack refuses what is no JSON, once and for good: an
  # alarm's name is ours, and needs no escape. Slack shows an attachment below its text.
  _news = {
    alarm-fired = {
      says    = "An alarm speaks"
      pattern = merge(local._alarm, { detail = { alarmName = local._whole, state = { value = ["ALARM"] } } })
      paths   = local._of_alarms
      sends   = "{\"text\": \"ALARM <name>\", \"attachments\": [{\"text\": <says>}]}"
    }
    alarm-cleared = {
      says    = "An alarm is well again"
      pattern = merge(local._alarm, { detail = { alarmName = local._whole, state = { value = ["OK"] }, previousState = { value = ["ALARM"] } } })
      paths   = local._of_alarms
      sends   = "{\"text\": \"OK <name>\", \"attachments\": [{\"text\": <says>}]}"
    }
    incident = {
      says    = "rmu tells of an incident"
      pattern = { source = ["rmu"], detail-type = ["incident"], detail = { environment = [var.environment] } }
      paths   = { text = "$.detail.text" }
      sends   = "{\"text\": <text>}"
    }
  }
  _of_alarms = { name = "$.detail.alarmName", says = "$.detail.configuration.description" }
}

data "aws_partition" "here" {}

data "aws_region" "here" {}

# Read into the state: an API destination has no write-only endpoint, and whoever may
# describe it reads it there as well. All it lets one do is write into one channel.
data "aws_ssm_parameter" "webhook" {
  count = local._slack ? 1 : 0

  name            = var.alarms.slack_webhook
  with_decryption = true
}

# EventBridge wants to present itself; Slack wants no more than the URL.
resource "aws_cloudwatch_event_connection" "slack" {
  count = local._slack ? 1 : 0

  name               = "${local._name}-slack"
  description        = "A webhook needs no login: this header is for whoever reads its requests"
  authorization_type = "API_KEY"

  auth_parameters {
    api_key {
      key   = "X-Rmu-Environment"
      value = var.environment
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "slack" {
  count = local._slack ? 1 : 0

  name                             = "${local._name}-slack"
  description                      = "Slack's webhook"
  connection_arn                   = aws_cloudwatch_event_connection.slack[0].arn
  invocation_endpoint              = data.aws_ssm_parameter.webhook[0].value
  http_method                      = "POST"
  invocation_rate_limit_per_second = 1 # Slack's own
}

data "aws_iam_policy_document" "slack_trust" {
  count = local._slack ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.here.account_id]
    }
  }
}

data "aws_iam_policy_document" "slack" {
  count = local._slack ? 1 : 0

  statement {
    actions   = ["events:InvokeApiDestination"]
    resources = [aws_cloudwatch_event_api_destination.slack[0].arn]
  }
}

resource "aws_iam_role" "slack" {
  count = local._slack ? 1 : 0

  name               = "${local._name}-slack"
  description        = "Hands events of ${local._name} to Slack's webhook"
  assume_role_policy = data.aws_iam_policy_document.slack_trust[0].json
}

resource "aws_iam_role_policy" "slack" {
  count = local._slack ? 1 : 0

  name   = "invoke"
  role   = aws_iam_role.slack[0].id
  policy = data.aws_iam_policy_document.slack[0].json
}

resource "aws_cloudwatch_event_rule" "slack" {
  for_each = { for name, news in local._news : name => news if local._slack }

  name          = "${local._name}-slack-${each.key}"
  description   = each.value.says
  event_pattern = jsonencode(each.value.pattern)
}

resource "aws_cloudwatch_event_target" "slack" {
  for_each = aws_cloudwatch_event_rule.slack

  rule     = each.value.name
  arn      = aws_cloudwatch_event_api_destination.slack[0].arn
  role_arn = aws_iam_role.slack[0].arn

  input_transformer {
    input_paths    = local._news[each.key].paths
    input_template = local._news[each.key].sends
  }

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 60
  }
}
