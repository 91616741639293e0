variable "asg" {
  description = "The hosts' auto scaling group, whose events are kept."
  type        = string
}

variable "database" {
  description = "Identifier of the live database instance, whose backups are counted."
  type        = string
}

variable "environment" {
  description = "Name of the environment; every resource is called rmu-ENVIRONMENT."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "An environment is 2 to 16 lower-case letters, digits or dashes, starting with a letter."
  }
}

variable "retention_days" {
  description = "Days after which lines are forgotten."
  type        = number
  default     = 30
}

variable "slow_search_ms" {
  description = "Milliseconds from which on a search counts as slow."
  type        = number
  default     = 500
}
