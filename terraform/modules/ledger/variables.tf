variable "bucket" {
  description = "Name of the bucket for large plans and results."
  type        = string
}

variable "deletion_protection" {
  description = "Refuse to delete the bucket while it holds anything."
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

variable "keep_days" {
  description = "Days after which large plans and results expire."
  type        = number
  default     = 400
}

variable "places" {
  description = "What rmu must find: the key becomes the SSM parameter /rmu/ENVIRONMENT/places/KEY."
  type        = map(string)
}
