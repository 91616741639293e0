output "repository" {
  description = "URI of the repository, without a tag."
  value       = aws_ecr_repository.app.repository_url
}

output "repository_arn" {
  description = "ARN of the repository."
  value       = aws_ecr_repository.app.arn
}
