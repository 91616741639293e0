variable "deletion_protection" {
  description = "Refuse to delete a repository that holds images."
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

variable "releases_kept" {
  description = "How many images without a keep- tag are kept; those with one are never counted."
  type        = number
  default     = 50

  validation {
    condition     = var.releases_kept >= 10
    error_message = "Keep at least 10 images."
  }
}
