output "key" {
  description = "ARN of the key that copies are encrypted with, in their region."
  value       = aws_kms_key.copies.arn
}
