output "state_bucket" {
  description = "Bucket of the Terraform states."
  value       = aws_s3_bucket.state.bucket
}

output "table" {
  description = "Table of the lease, the journal and the releases."
  value       = aws_dynamodb_table.ledger.name
}
