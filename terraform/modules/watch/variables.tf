variable "alarms" {
  description = "Seconds between an alarm's points (slow trends, and signs of life), and who is written to."
  type = object({
    emails          = optional(list(string), [])
    liveness_period = optional(number, 60)
    period          = optional(number, 300)
  })
  default = {}

  validation {
    condition     = alltrue([for seconds in [var.alarms.period, var.alarms.liveness_period] : contains([10, 20, 30], seconds) || seconds % 60 == 0 && seconds > 0])
    error_message = "CloudWatch knows periods of 10, 20, 30 seconds and of whole minutes."
  }
}

variable "asg" {
  description = "The hosts' auto scaling group."
  type        = string
}

variable "balancer_suffix" {
  description = "What CloudWatch calls the balancer: the end of its ARN."
  type        = string
}

variable "database" {
  description = "Identifier of the live database instance."
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

variable "target_group_suffix" {
  description = "What CloudWatch calls the target group: the end of its ARN."
  type        = string
}
