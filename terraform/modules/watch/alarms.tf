# Every alarm, one paragraph each: what is measured, when it speaks, to whom, and what
# to do then. docs/alarms.md says why these numbers; a test holds it against this.

locals {
  _slow    = var.alarms.period
  _fast    = var.alarms.liveness_period
  _silence = var.alarms.silence_period
  _daily   = var.alarms.daily_period

  # Dimensions must match a metric exactly, or the alarm has no data for ever. Hosts
  # are watched by their group: an instance id dies with its instance.
  _hosts    = { AutoScalingGroupName = var.asg }
  _targets  = { LoadBalancer = var.balancer_suffix, TargetGroup = var.target_group_suffix }
  _balancer = { LoadBalancer = var.balancer_suffix }
  _database = { DBInstanceIdentifier = var.database }
  _lines    = "rmu/${var.environment}" # numbers read out of log lines; without dimensions
  _agent    = "CWAgent"

  # Where the absence of a number is itself the news, missing data is breaching; where
  # a number exists only while something is wrong, it is not. On `critical` none is
  # `missing`: a number that comes back would tell the topic OK, and wake somebody for it.
  _always = {
    cpu-high = {
      says = "The hosts' CPU is above 80%", severity = "SEV-3", runbook = "host-unresponsive", topic = "alerts"
      of   = ["AWS/EC2", "CPUUtilization", "Average"], dimensions = local._hosts
      when = [">", 80], period = local._slow, points = [2, 2], missing = "missing"
    }
    # A host that has no credits left is held at its baseline, which is no high number:
    # cpu-high goes green. One that rests with none, as when it is newborn, is not held.
    # Credits are measured every five minutes, and the newest may be on its way still.
    cpu-throttled = {
      says = "The hosts have spent their CPU credits and are held at ${local._baseline}% of their CPU", severity = "SEV-3", runbook = "host-unresponsive", topic = "alerts"
      of   = ["AWS/EC2", "CPUCreditBalance", "Minimum"], dimensions = local._hosts
      and  = ["AWS/EC2", "CPUUtilization", "Average"], math = "IF(a < 5 AND b > ${0.9 * local._baseline}, 1, 0)"
      when = [">", 0], period = local._slow, points = [2, 3], missing = "notBreaching"
    }
    memory-high = {
      says = "The hosts' memory is above 85%", severity = "SEV-2", runbook = "host-unresponsive", topic = "alerts"
      of   = [local._agent, "mem_used_percent", "Average"], dimensions = local._hosts
      when = [">", 85], period = local._slow, points = [2, 2], missing = "missing"
    }
    disk-full = {
      says = "A host's disk is above 85%", severity = "SEV-2", runbook = "disk-full", topic = "alerts"
      of   = [local._agent, "disk_used_percent", "Maximum"], dimensions = local._hosts
      when = [">", 85], period = local._slow, points = [2, 2], missing = "missing"
    }
    status-check-failed = {
      says = "EC2 finds a host broken", severity = "SEV-1", runbook = "host-unresponsive", topic = "critical"
      of   = ["AWS/EC2", "StatusCheckFailed", "Maximum"], dimensions = local._hosts
      when = [">", 0], period = local._fast, points = [2, 2], missing = "ignore"
    }
    # A host that freezes sends nothing, and so does one that reboots or is replaced: two
    # points outlast a reboot, and not the five minutes in which the only host is
    # replaced, for then nobody is served. CloudWatch rereads older points where newer
    # ones are missing, and a dead man's switch would wait for all of them to be gone:
    # filled with 0 there is nothing missing.
    hosts-silent = {
      says = "No host has reported for a while", severity = "SEV-1", runbook = "host-unresponsive", topic = "critical"
      of   = [local._agent, "mem_used_percent", "SampleCount"], dimensions = local._hosts, math = "FILL(a, 0)"
      when = ["<", 1], period = local._silence, points = [2, 2], missing = "breaching"
    }

    # Maximum and Minimum are those of single nodes of the balancer, and there is one in
    # every zone: what the node of a zone without a host sees says nothing of the other.
    no-healthy-host = {
      says = "The balancer has no healthy host", severity = "SEV-1", runbook = "host-unresponsive", topic = "critical"
      of   = ["AWS/ApplicationELB", "HealthyHostCount", "Maximum"], dimensions = local._targets
      when = ["<", 1], period = local._fast, points = [2, 3], missing = "breaching"
    }
    errors-at-the-balancer = {
      says = "The balancer itself answers 5xx", severity = "SEV-1", runbook = "host-unresponsive", topic = "critical"
      of   = ["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "Sum"], dimensions = local._balancer
      when = [">", 5], period = local._fast, points = [2, 3], missing = "notBreaching"
    }
    errors-of-the-app = {
      says = "The app answers 5xx", severity = "SEV-2", runbook = "release-not-ready", topic = "alerts"
      of   = ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "Sum"], dimensions = local._targets
      when = [">", 5], period = local._fast, points = [2, 3], missing = "notBreaching"
    }
    # Fewer than twenty answers have no twentieth: at night a probe and one slow search
    # would be an alarm.
    latency-high = {
      says = "One answer in twenty takes more than a second", severity = "SEV-2", runbook = "host-unresponsive", topic = "alerts"
      of   = ["AWS/ApplicationELB", "TargetResponseTime", "p95"], dimensions = local._targets
      and  = ["AWS/ApplicationELB", "RequestCount", "Sum"], math = "IF(b >= 20, a, 0)"
      when = [">", 1], period = local._fast, points = [2, 3], missing = "notBreaching"
    }
    # Asked from a host, through everything that a user's request passes.
    probe-failing = {
      says = "The front door does not answer the hosts' probe", severity = "SEV-1", runbook = "host-unresponsive", topic = "critical"
      of   = [local._lines, "ProbeFailed", "Average"], dimensions = {}
      when = [">", 0.5], period = local._fast, points = [2, 3], missing = "notBreaching"
    }
    # All that hosts say in lines is said by one timer, and every alarm on it takes silence
    # for fine. Three points outlast the replacement of the only host, which is told already.
    probe-silent = {
      says = "No host has said for a while whether the front door answers it", severity = "SEV-2", runbook = "host-unresponsive", topic = "alerts"
      of   = [local._lines, "ProbeFailed", "SampleCount"], dimensions = {}, math = "FILL(a, 0)"
      when = ["<", 1], period = local._silence, points = [3, 3], missing = "breaching"
    }

    database-cpu-high = {
      says = "The database's CPU is above 80%", severity = "SEV-3", runbook = "database-connections", topic = "alerts"
      of   = ["AWS/RDS", "CPUUtilization", "Average"], dimensions = local._database
      when = [">", 80], period = local._slow, points = [2, 2], missing = "missing"
    }
    database-storage-low = {
      says = "The database has less than 2 GB of storage left", severity = "SEV-1", runbook = "disk-full", topic = "critical"
      of   = ["AWS/RDS", "FreeStorageSpace", "Minimum"], dimensions = local._database
      when = ["<", 2147483648], period = local._slow, points = [1, 1], missing = "ignore"
    }
    database-silent = {
      says = "The database has not reported for a while", severity = "SEV-1", runbook = "database-connections", topic = "critical"
      of   = ["AWS/RDS", "FreeStorageSpace", "SampleCount"], dimensions = local._database, math = "FILL(a, 0)"
      when = ["<", 1], period = local._silence, points = [2, 2], missing = "breaching"
    }
    connections-high = {
      says = "The database has more than ${local._many} sessions of about ${local._sessions}", severity = "SEV-2", runbook = "database-connections", topic = "alerts"
      of   = ["AWS/RDS", "DatabaseConnections", "Maximum"], dimensions = local._database
      when = [">", local._many], period = local._fast, points = [2, 3], missing = "notBreaching"
    }
    # 26 hours, since a daily backup may begin anywhere in its hour. Every hour has a
    # number, be it 0, as long as there is a host: a newborn environment is not late.
    backups-late = {
      says = "RDS has finished no backup of the database for a day", severity = "SEV-2", runbook = "restore-wrong", topic = "alerts"
      of   = [local._lines, "BackupsDone", "Sum"], dimensions = {}
      when = ["<", 1], period = local._daily, points = [26, 26], missing = "notBreaching"
    }

    queue-stalled = {
      says = "A job has been due for more than ${var.alarms.oldest_job_s} s and nobody takes it", severity = "SEV-2", runbook = "queue-stalled", topic = "alerts"
      of   = [local._lines, "QueueOldestSeconds", "Maximum"], dimensions = {}
      when = [">", var.alarms.oldest_job_s], period = local._slow, points = [2, 2], missing = "notBreaching"
    }
    # A deploy parks the worker, its bake included: six points outlast it.
    worker-idle = {
      says = "Jobs wait and no scrape comes to an end", severity = "SEV-3", runbook = "queue-stalled", topic = "alerts"
      of   = [local._lines, "QueueWaiting", "Minimum"], dimensions = {}
      and  = [local._lines, "Scrapes", "Sum"], math = "IF(a > 0 AND b < 1, 1, 0)"
      when = [">", 0], period = local._slow, points = [6, 6], missing = "notBreaching"
    }
  }

  # Published once or twice a day, and no more once it has expired: what was said last
  # stays said.
  _with_a_certificate = {
    certificate-expiring = {
      says = "The front door's certificate expires within three weeks", severity = "SEV-2", runbook = "certificate-expiring", topic = "alerts"
      of   = ["AWS/CertificateManager", "DaysToExpiry", "Minimum"], dimensions = { CertificateArn = var.certificate_arn }
      when = ["<", 21], period = local._daily, points = [1, 1], missing = "ignore"
    }
  }

  _alarms    = merge(local._always, { for name, alarm in local._with_a_certificate : name => alarm if var.certificate_arn != "" })
  _operators = { ">" = "GreaterThanThreshold", "<" = "LessThanThreshold" }
}

# The description is read by people and by rmu, which finds severity and runbook in it.
resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local._alarms

  alarm_name          = "${local._name}-${each.key}"
  alarm_description   = "${each.value.says}. severity: ${each.value.severity}. next: rmu runbook run ${each.value.runbook} --env ${var.environment}"
  comparison_operator = local._operators[each.value.when[0]]
  threshold           = each.value.when[1]
  datapoints_to_alarm = each.value.points[0]
  evaluation_periods  = each.value.points[1]
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.this[each.value.topic].arn]
  ok_actions          = [aws_sns_topic.this[each.value.topic].arn]

  # One metric as it is, or one or two of them through an expression.
  namespace   = can(each.value.math) ? null : each.value.of[0]
  metric_name = can(each.value.math) ? null : each.value.of[1]
  statistic   = can(each.value.math) ? null : each.value.of[2]
  dimensions  = can(each.value.math) ? null : each.value.dimensions
  period      = can(each.value.math) ? null : each.value.period

  dynamic "metric_query" {
    for_each = can(each.value.math) ? merge({ a = each.value.of }, can(each.value.and) ? { b = each.value.and } : {}) : {}
    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value[0]
        metric_name = metric_query.value[1]
        stat        = metric_query.value[2]
        dimensions  = each.value.dimensions
        period      = each.value.period
      }
    }
  }

  dynamic "metric_query" {
    for_each = can(each.value.math) ? [each.value.math] : []
    content {
      id          = "e"
      expression  = metric_query.value
      label       = each.key
      return_data = true
    }
  }

  # An alarm is judged as soon as it stands, and what it then says must get through.
  depends_on = [aws_sns_topic_policy.this]
}

# ---- objectives: windows that tell nobody, and composites of them that do

locals {
  _of = { balancer = local._balancer, environment = {}, targets = local._targets }
}

resource "aws_cloudwatch_metric_alarm" "window" {
  for_each = var.slo_alarms.windows

  alarm_name          = "${local._name}-${each.key}"
  alarm_description   = each.value.says
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  datapoints_to_alarm = 1
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"

  dynamic "metric_query" {
    for_each = each.value.queries
    content {
      id          = metric_query.value.id
      expression  = metric_query.value.expression
      label       = metric_query.value.returns ? each.key : null
      return_data = metric_query.value.returns

      dynamic "metric" {
        for_each = metric_query.value.metric != null ? [metric_query.value] : []
        content {
          namespace   = coalesce(metric.value.namespace, local._lines)
          metric_name = metric.value.metric
          stat        = metric.value.stat
          dimensions  = local._of[metric.value.of]
          period      = each.value.period
        }
      }
    }
  }
}

resource "aws_cloudwatch_composite_alarm" "objective" {
  for_each = var.slo_alarms.alarms

  alarm_name        = "${local._name}-${each.key}"
  alarm_description = "${each.value.says}. severity: ${each.value.severity}. next: rmu runbook run ${each.value.runbook} --env ${var.environment}"
  alarm_actions     = [aws_sns_topic.this[each.value.topic].arn]
  ok_actions        = [aws_sns_topic.this[each.value.topic].arn]

  alarm_rule = join(" OR ", [
    for windows in each.value.any_of :
    "(${join(" AND ", [for window in windows : "ALARM(\"${aws_cloudwatch_metric_alarm.window[window].alarm_name}\")"])})"
  ])

  depends_on = [aws_sns_topic_policy.this]
}
