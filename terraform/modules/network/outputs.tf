output "private_subnet_ids" {
  description = "Subnets without a route out, in two zones, for databases."
  value       = [for zone in sort(keys(aws_subnet.private)) : aws_subnet.private[zone].id]
}

output "public_subnet_ids" {
  description = "Subnets with a route out, in two zones, for the balancer and the hosts."
  value       = [for zone in sort(keys(aws_subnet.public)) : aws_subnet.public[zone].id]
}

output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}
