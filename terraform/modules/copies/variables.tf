variable "database" {
  description = "The database whose backups are copied: its ARN, and how many days are kept there."
  type = object({
    arn            = string
    retention_days = optional(number, 7)
  })
}

variable "environment" {
  description = "Name of the environment; every resource is called rmu-ENVIRONMENT."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "An environment is 2 to 16 lower-case letters, digits or dashes, starting with a letter."
  }
}

variable "images" {
  description = "Copy the app's images too. A registry has one such configuration, so only one environment of an account may."
  type        = bool
  default     = true
}
