variable "allowed_ranges" {
  description = "IPv4 ranges that may reach the balancer; null is Cloudflare's published list."
  type        = list(string)
  default     = null

  validation {
    condition     = var.allowed_ranges == null || alltrue([for range in coalesce(var.allowed_ranges, []) : can(cidrhost(range, 0)) && !endswith(range, "/0")])
    error_message = "Each must be an IPv4 range, and none the whole internet."
  }
}

variable "balancer_security_group_id" {
  description = "Security group of the balancer."
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

variable "header_secrets" {
  description = "SSM SecureStrings whose values the header X-Rmu-Edge may carry; none asks for no header."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.header_secrets) <= 2
    error_message = "Two at most: the one in use and the next one."
  }
}

variable "listener_arn" {
  description = "The listener that serves people."
  type        = string
}

variable "ports" {
  description = "Ports the edge may reach."
  type        = list(number)
}

variable "target_group_arn" {
  description = "The hosts' target group."
  type        = string
}
