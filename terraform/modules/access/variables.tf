variable "bucket" {
  description = "Name of the bucket for large plans and results."
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

variable "github" {
  description = "The repository and deployment environment CI deploys from; null makes no CI role. Name provider_arn where the account has GitHub's OIDC provider already."
  type = object({
    environment   = string
    owner         = string
    owner_id      = string
    provider_arn  = optional(string, "")
    repository    = string
    repository_id = string
  })
  default = null

  validation {
    condition     = var.github == null || can(regex("^[0-9]+$", "${var.github.owner_id}${var.github.repository_id}"))
    error_message = "owner_id and repository_id are GitHub's numbers."
  }
}

variable "operators" {
  description = "ARNs of the people or roles who may become the operator; none makes no such role."
  type        = list(string)
  default     = []

  validation {
    condition     = !contains(var.operators, "*")
    error_message = "\"*\" would let every AWS account in."
  }
}

variable "repository_arn" {
  description = "ARN of the image repository."
  type        = string
}
