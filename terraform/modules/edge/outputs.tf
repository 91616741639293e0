output "allowed_ranges" {
  description = "IPv4 ranges that may reach the balancer."
  value       = local._ranges
}
