output "groups" {
  description = "Names of the log groups, by what is in them."
  value       = { for name, group in aws_cloudwatch_log_group.this : name => group.name }
}

output "namespace" {
  description = "Namespace of the metrics that are read out of lines."
  value       = local._namespace
}
