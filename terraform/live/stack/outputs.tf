output "places" {
  description = "What rmu finds under the SSM parameters, by key."
  value       = module.ledger.places
}

output "roles" {
  description = "ARNs of the roles for people and CI."
  value       = module.access.roles
}
