# One dashboard, one column: on a phone what stands beside something is too small to read.
# What users feel comes first, what may explain it below.

locals {
  _every = min(local._fast, 60)

  _pictures = [
    { title = "Front door: requests and errors", stat = "Sum", metrics = [
      ["AWS/ApplicationELB", "RequestCount", local._balancer, "requests", "left"],
      ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", local._targets, "5xx of the app", "right"],
      ["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", local._balancer, "5xx of the balancer", "right"],
    ] },
    { title = "Answers: seconds, 95 of 100", stat = "p95", metrics = [
      ["AWS/ApplicationELB", "TargetResponseTime", local._targets, "p95", "left"],
    ] },
    { title = "Probe: share that failed", stat = "Average", metrics = [
      [local._lines, "ProbeFailed", {}, "failed", "left"],
    ] },
    { title = "Hosts: CPU, memory, disk (%) and CPU credits", stat = "Maximum", metrics = [
      ["AWS/EC2", "CPUUtilization", local._hosts, "CPU", "left"],
      ["AWS/EC2", "CPUCreditBalance", local._hosts, "credits", "right"],
      [local._agent, "mem_used_percent", local._hosts, "memory", "left"],
      [local._agent, "disk_used_percent", local._hosts, "disk", "left"],
    ] },
    { title = "Database: CPU (%) and sessions", stat = "Maximum", metrics = [
      ["AWS/RDS", "CPUUtilization", local._database, "CPU", "left"],
      ["AWS/RDS", "DatabaseConnections", local._database, "sessions", "right"],
    ] },
    { title = "Database: free storage (bytes)", stat = "Minimum", metrics = [
      ["AWS/RDS", "FreeStorageSpace", local._database, "free", "left"],
    ] },
    { title = "Queue: waiting jobs and the oldest (s)", stat = "Maximum", metrics = [
      [local._lines, "QueueWaiting", {}, "waiting", "left"],
      [local._lines, "QueueOldestSeconds", {}, "oldest", "right"],
    ] },
    { title = "Scrapes", stat = "Sum", metrics = [
      [local._lines, "Scrapes", {}, "ended", "left"],
      [local._lines, "ScrapesFailed", {}, "failed", "left"],
    ] },
  ]

  _heard = concat([for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn], [for alarm in aws_cloudwatch_composite_alarm.objective : alarm.arn])
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local._name

  dashboard_body = jsonencode({
    start          = "-PT3H"
    periodOverride = "inherit"
    widgets = concat(
      [{ type = "alarm", x = 0, y = 0, width = 24, height = 5, properties = { title = "Alarms", alarms = local._heard } }],
      [for at, picture in local._pictures : {
        type = "metric", x = 0, y = 5 + 5 * at, width = 24, height = 5
        properties = {
          title  = picture.title
          view   = "timeSeries"
          region = data.aws_region.here.name
          stat   = picture.stat
          period = local._every
          yAxis  = { left = { min = 0 }, right = { min = 0 } }
          metrics = [for metric in picture.metrics : concat(
            [metric[0], metric[1]],
            flatten([for name, value in metric[2] : [name, value]]),
            [{ label = metric[3], yAxis = metric[4] }],
          )]
        }
      }],
    )
  })
}
