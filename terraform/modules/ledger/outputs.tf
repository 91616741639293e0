output "bucket" {
  description = "Name of the bucket for large plans and results."
  value       = aws_s3_bucket.ledger.bucket
}

output "places" {
  description = "What rmu finds under the SSM parameters, by key."
  value       = var.places
}
