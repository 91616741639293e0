output "alarms" {
  description = "Names of the alarms that tell somebody."
  value       = sort(concat([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name], [for alarm in aws_cloudwatch_composite_alarm.objective : alarm.alarm_name]))
}

output "dashboard" {
  description = "URL of the dashboard."
  value       = "https://${data.aws_region.here.name}.console.aws.amazon.com/cloudwatch/home?region=${data.aws_region.here.name}#dashboards/dashboard/${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "escalation" {
  description = "Where rmu puts schedules of incidents that nobody answers: their group, and the role that tells."
  value = {
    group = aws_scheduler_schedule_group.escalations.name
    role  = aws_iam_role.escalation.arn
  }
}

output "slack" {
  description = "What Slack hears by: the rules' names, \"none\" without a webhook."
  value       = local._slack ? join(",", sort([for rule in aws_cloudwatch_event_rule.slack : rule.name])) : "none"
}

output "topics" {
  description = "ARNs of the two topics: alerts may wait for the morning, critical may not."
  value       = { for name, topic in aws_sns_topic.this : name => topic.arn }
}
