output "endpoint_id" {
  description = "The Instance Connect endpoint."
  value       = aws_ec2_instance_connect_endpoint.this.id
}
