# Where every line ends up, and the numbers that are read out of lines. A host's agent
# makes its own streams, INSTANCE/UNIT; the groups and how long they keep are made here.

locals {
  _name      = "rmu-${var.environment}"
  _namespace = "rmu/${var.environment}"

  _groups = {
    app    = "Slots and worker: the app's JSON lines as they are"
    events = "What AWS tells of databases and hosts, by EventBridge"
    host   = "Host programs, the probe, the queue and the host's vitals"
    proxy  = "HAProxy: one JSON line a request"
  }

  # Two filters may feed one metric. The probe's gives 0 or 1, so that its average is
  # the share that failed and its count how many were sent. A host's own line gives 0
  # to what may not happen for a day, so that a number is missing only where no host is.
  _filters = {
    backups-done   = { group = "events", metric = "BackupsDone", value = "1", pattern = "{ $.source = \"aws.rds\" && $.detail.EventID = \"RDS-EVENT-0002\" && $.detail.SourceIdentifier = \"${var.database}\" }" }
    backups-none   = { group = "host", metric = "BackupsDone", value = "0", pattern = "{ $.event = \"vitals\" }" }
    probe-failed   = { group = "host", metric = "ProbeFailed", value = "1", pattern = "{ $.event = \"probe\" && $.ok IS FALSE }" }
    probe-answered = { group = "host", metric = "ProbeFailed", value = "0", pattern = "{ $.event = \"probe\" && $.ok IS TRUE }" }
    # Nobody else counts these: the balancer never saw them (520 and more is what the edge says by itself).
    probe-lost     = { group = "host", metric = "ProbeLost", value = "1", pattern = "{ $.event = \"probe\" && $.ok IS FALSE && ($.status IS NULL || $.status NOT EXISTS || $.status >= 520) }" }
    probe-ms       = { group = "host", metric = "ProbeMs", value = "$.ms", pattern = "{ $.event = \"probe\" && $.ok IS TRUE }" }
    queue-oldest   = { group = "host", metric = "QueueOldestSeconds", value = "$.oldest_s", pattern = "{ $.event = \"queue\" && $.oldest_s >= 0 }" }
    queue-waiting  = { group = "host", metric = "QueueWaiting", value = "$.waiting", pattern = "{ $.event = \"queue\" && $.waiting >= 0 }" }
    scrapes-done   = { group = "app", metric = "Scrapes", value = "1", pattern = "{ $.event = \"scrape\" && $.ok IS TRUE }" }
    scrapes-failed = { group = "app", metric = "ScrapesFailed", value = "1", pattern = "{ $.event = \"scrape\" && $.ok IS FALSE }" }
    scrapes-none   = { group = "host", metric = "Scrapes", value = "0", pattern = "{ $.event = \"queue\" && $.waiting >= 0 }" }
    scrapes-too    = { group = "app", metric = "Scrapes", value = "1", pattern = "{ $.event = \"scrape\" && $.ok IS FALSE }" }
    searches       = { group = "proxy", metric = "Searches", value = "1", pattern = "{ $.route = \"search\" }" }
    searches-slow  = { group = "proxy", metric = "SearchesSlow", value = "1", pattern = "{ $.route = \"search\" && $.total_ms > ${var.slow_search_ms} }" }
  }

  # EventBridge's own events, by who sends them.
  _events = {
    database = {
      says = "What RDS tells of the databases: backups, restarts, storage"
      pattern = {
        source      = ["aws.rds"]
        detail-type = ["RDS DB Instance Event"]
        detail      = { SourceIdentifier = [{ prefix = "${local._name}-" }] }
      }
    }
    hosts = {
      says = "What the group tells of the hosts: launched, ended, failed"
      pattern = {
        source = ["aws.autoscaling"]
        detail = { AutoScalingGroupName = [var.asg] }
      }
    }
  }
}

data "aws_caller_identity" "here" {}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:CloudWatch's own key encrypts them; lines are redacted where they are written, and a key of ours is a bill
  #checkov:skip=CKV_AWS_338:lines serve incidents, not audits: who did what is in the ledger and in CloudTrail
  for_each = local._groups

  name              = "/rmu/${var.environment}/${each.key}"
  retention_in_days = var.retention_days
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local._filters

  name           = each.key
  log_group_name = aws_cloudwatch_log_group.this[each.value.group].name
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local._namespace
    name      = each.value.metric
    value     = each.value.value
  }
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = local._events

  name          = "${local._name}-${each.key}-events"
  description   = each.value.says
  event_pattern = jsonencode(each.value.pattern)
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = local._events

  rule = aws_cloudwatch_event_rule.this[each.key].name
  arn  = aws_cloudwatch_log_group.this["events"].arn

  # Without the policy the rule matches and its events are dropped in silence.
  depends_on = [aws_cloudwatch_log_resource_policy.events]
}

# A rule hands a group its events by the group's policy, not by a role. To make a stream
# takes no condition: with one the rule matches, and its events are dropped in silence
# (https://github.com/aws-samples/serverless-patterns/pull/618).
data "aws_iam_policy_document" "events" {
  statement {
    actions   = ["logs:CreateLogStream"]
    resources = ["${aws_cloudwatch_log_group.this["events"].arn}:*"]

    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com", "events.amazonaws.com"]
    }
  }

  statement {
    actions   = ["logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this["events"].arn}:*"]

    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com", "events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.here.account_id]
    }
  }
}

resource "aws_cloudwatch_log_resource_policy" "events" {
  policy_name     = "${local._name}-events"
  policy_document = data.aws_iam_policy_document.events.json
}
