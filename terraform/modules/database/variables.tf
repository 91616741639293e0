variable "backup" {
  description = "Days of point-in-time restore, and the daily and weekly windows (UTC), which must not overlap."
  type = object({
    maintenance_window = optional(string, "sun:18:00-sun:19:00")
    retention_days     = optional(number, 7)
    window             = optional(string, "15:00-16:00")
  })
  default = {}

  validation {
    condition     = var.backup.retention_days >= 7 && var.backup.retention_days <= 35
    error_message = "Keep 7 to 35 days: 0 would switch point-in-time restore off, by an outage."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the database."
  type        = bool
  default     = true
}

variable "environment" {
  description = "Name of the environment; every resource is called rmu-ENVIRONMENT."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "An environment is 2 to 16 lower-case letters, digits or dashes, starting with a letter."
  }
}

variable "host_security_group_id" {
  description = "Security group of the hosts, the only ones let in."
  type        = string
}

variable "identifier" {
  description = "Name of the instance, given by rmu: a restored one keeps its own for life."
  type        = string
}

variable "master_password" {
  description = "ARN of the SecureString that holds the master password; raise the version to set it again."
  type = object({
    parameter_arn = string
    version       = optional(number, 1)
  })
}

variable "size" {
  description = "Class, storage (GB) and whether a standby runs in the other zone."
  type = object({
    instance_class = optional(string, "db.t3.micro")
    multi_az       = optional(bool, false)
    storage_gb     = optional(number, 20)
    storage_max_gb = optional(number, 100)
  })
  default = {}
}

variable "subnet_ids" {
  description = "Private subnets in two zones."
  type        = list(string)
}

variable "vpc_id" {
  description = "The VPC of those subnets."
  type        = string
}
