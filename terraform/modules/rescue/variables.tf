variable "environment" {
  description = "Name of the environment; every resource is called rmu-ENVIRONMENT."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "An environment is 2 to 16 lower-case letters, digits or dashes, starting with a letter."
  }
}

variable "host_security_group_id" {
  description = "The hosts' group, which lets the endpoint in on port 22."
  type        = string
}

variable "subnet_id" {
  description = "Where the endpoint stands; it reaches hosts in every zone of the VPC."
  type        = string
}

variable "vpc_id" {
  description = "The VPC of the hosts."
  type        = string
}
