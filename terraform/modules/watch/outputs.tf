output "alarms" {
  description = "Names of the alarms."
  value       = sort([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name])
}

output "topics" {
  description = "ARNs of the two topics: alerts may wait for the morning, critical may not."
  value       = { for name, topic in aws_sns_topic.this : name => topic.arn }
}
