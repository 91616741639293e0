output "places" {
  description = "SSM parameter names by key."
  value       = module.ledger.places
}

output "roles" {
  description = "ARNs of the roles for people and CI."
  value       = module.access.roles
}
