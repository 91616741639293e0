variable "environment" {
  description = "Name of the environment; every resource is called rmu-ENVIRONMENT."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "An environment is 2 to 16 lower-case letters, digits or dashes, starting with a letter."
  }
}

variable "quarter_days" {
  description = "After how many days without a drill somebody is reminded, and then every week."
  type        = number
  default     = 91

  validation {
    condition     = var.quarter_days >= 7 && var.quarter_days <= 366
    error_message = "Between a week and a year."
  }
}

variable "topic_arn" {
  description = "Whom the reminder tells: an SNS topic."
  type        = string
}

variable "vpc_id" {
  description = "The VPC in which a drill stands, beside what serves."
  type        = string
}
