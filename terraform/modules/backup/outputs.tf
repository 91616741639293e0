output "policy" {
  description = "Id of the image policy."
  value       = aws_dlm_lifecycle_policy.images.id
}
