output "address" {
  description = "Host name of the database."
  value       = aws_db_instance.this.address
}

output "arn" {
  description = "ARN of the instance; copies of its backups name it."
  value       = aws_db_instance.this.arn
}

output "identifier" {
  description = "Name of the instance."
  value       = aws_db_instance.this.identifier
}

output "parameter_group" {
  description = "Parameter group; a restore passes it on."
  value       = aws_db_parameter_group.this.name
}

output "security_group_id" {
  description = "Security group; a restore passes it on."
  value       = aws_security_group.this.id
}

output "subnet_group" {
  description = "Subnet group; a restore passes it on."
  value       = aws_db_subnet_group.this.name
}
