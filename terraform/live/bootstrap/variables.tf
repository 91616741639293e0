variable "deletion_protection" {
  description = "Refuse to delete the table, and the bucket while it holds a state."
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

variable "region" {
  description = "AWS region."
  type        = string
}

variable "s3_path_style" {
  description = "Name buckets in the path, not the host name, for an S3 that knows no other way."
  type        = bool
  default     = false
}
