output "bucket" {
  description = "Name of the bucket for large plans and results."
  value       = aws_s3_bucket.ledger.bucket
}

output "places" {
  description = "SSM parameter names by key."
  value       = { for key, parameter in aws_ssm_parameter.place : key => parameter.name }
}
